//! Between hyper and the router: tells each request who sent it, and the connection what is under way.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;

use super::activity::{Activity, Answering, Underway};
use crate::network::Peer;

/// The service of one connection.
pub(crate) fn service(
    router: Router,
    peer: Peer,
    activity: Arc<Activity>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Answer>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Answer>, Infallible>> + Send + 'static,
> + Send
+ Unpin {
    let router = TowerToHyperService::new(router);
    service_fn(move |request: Request<Incoming>| {
        let underway = Underway::begin(&activity);
        let mut request = request.map(|body| RequestBody::new(body, &underway));
        request.extensions_mut().insert(peer);
        let answer = router.call(request);
        async move { answer.await.map(|response| response.map(|body| Answer::new(body, underway))) }
    })
}

/// A request's body. Until it is let go, its connection is busy.
pub(crate) struct RequestBody {
    body: Incoming,
    /// Dropped after the body, so that hyper knows of its end first. None: there is no body.
    underway: Option<Underway>,
    ended: bool,
}

impl RequestBody {
    fn new(body: Incoming, underway: &Underway) -> Self {
        let underway = (!body.is_end_stream()).then(|| underway.part());
        Self { body, underway, ended: false }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(underway) = &self.underway
            && !self.ended
            && !self.body.is_end_stream()
        {
            underway.leave_body();
        }
    }
}

/// An answer's body. Until hyper has all of it, its connection is busy.
pub(crate) struct Answer {
    body: Body,
    answering: Answering,
    _underway: Underway,
}

impl Answer {
    fn new(body: Body, underway: Underway) -> Self {
        Self { body, answering: Answering::begin(&underway), _underway: underway }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.answering.moved(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
