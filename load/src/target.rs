//! The gateway under load, and connections to it.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::measure::lock;

/// From a request to the end of its answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Connections for requests at a time.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where the load goes.
#[derive(Debug, Clone)]
pub struct Target {
    host: String,
    port: u16,
    /// Path before the routes, without a slash at its end.
    base: String,
    token: Option<String>,
}

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a gateway; expected http://HOST:PORT")]
pub struct TargetError(String);

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("failed to connect to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("failed to get an answer: {0}")]
    Broken(#[from] hyper::Error),
    #[error("failed to make the request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("failed to read the answer: {0}")]
    Read(String),
    #[error("no answer within 10 s")]
    Late,
}

impl Target {
    /// The gateway at a URL, with a token if it wants one.
    ///
    /// # Errors
    ///
    /// [`TargetError`] for what is no `http` URL. TLS ends in front of a gateway: name the gateway itself.
    pub fn new(url: &str, token: Option<String>) -> Result<Self, TargetError> {
        let wrong = || TargetError(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            base: uri.path().trim_end_matches('/').to_owned(),
            token,
        })
    }

    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    pub(crate) async fn connect(&self) -> Result<TcpStream, NoAnswer> {
        let failed = |error| NoAnswer::Connect(self.authority(), error);
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = timeout(ANSWER, connecting).await.map_err(|_| NoAnswer::Late)?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }

    /// A request to a path below the target's, from `/v1` on.
    pub(crate) fn request(&self, path: &str) -> hyper::http::request::Builder {
        let request = Request::builder().uri(format!("{}{path}", self.base)).header(HOST, self.authority());
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// A connection for requests, one after the other.
    pub(crate) async fn open(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Connections that are kept.
#[derive(Debug)]
pub(crate) struct Pool {
    target: Target,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    places: Semaphore,
}

impl Pool {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, idle: Mutex::new(Vec::new()), places: Semaphore::new(CONNECTIONS_MAX) }
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> Result<(StatusCode, Bytes), NoAnswer> {
        let request = self.target.request(path).method(Method::POST).header(CONTENT_TYPE, "application/json");
        self.send(request.body(Full::from(body))?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), NoAnswer> {
        self.send(self.target.request(path).body(Full::default())?).await
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), NoAnswer> {
        let answer = async {
            let _place = self.places.acquire().await.map_err(|error| NoAnswer::Read(error.to_string()))?;
            loop {
                let idle = lock(&self.idle).pop();
                let (mut sender, is_kept) = match idle {
                    Some(mut kept) => match kept.ready().await {
                        Ok(()) => (kept, true),
                        Err(_) => continue,
                    },
                    None => (self.target.open().await?, false),
                };
                let answer = match sender.try_send_request(request).await {
                    Ok(answer) => answer,
                    Err(mut error) => match error.take_message() {
                        // The gateway had closed it meanwhile, and nothing was sent: another one takes it.
                        Some(unsent) if is_kept => {
                            request = unsent;
                            continue;
                        }
                        _ => return Err(error.into_error().into()),
                    },
                };
                let answer = read(answer).await?;
                lock(&self.idle).push(sender);
                return Ok(answer);
            }
        };
        timeout(ANSWER, answer).await.map_err(|_| NoAnswer::Late)?
    }
}

async fn read(answer: Response<Incoming>) -> Result<(StatusCode, Bytes), NoAnswer> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok((status, body.map_err(|error| NoAnswer::Read(error.to_string()))?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_by_its_url() {
        let at = |url| Target::new(url, None).map(|target| (target.authority(), target.base));
        assert_eq!(at("http://127.0.0.1:8080/"), Ok(("127.0.0.1:8080".to_owned(), String::new())));
        assert_eq!(at("http://[::1]:1/live/"), Ok(("[::1]:1".to_owned(), "/live".to_owned())));
        assert_eq!(at("http://example"), Ok(("example:80".to_owned(), String::new())));
        for wrong in ["https://example", "example:80", "", "http://"] {
            assert_eq!(at(wrong), Err(TargetError(wrong.to_owned())), "{wrong:?}");
        }
    }
}
