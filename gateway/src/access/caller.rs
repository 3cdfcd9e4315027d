//! Who sends a request, and from where.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::bearer::token_in;
use super::grant::{Action, Grant};
use crate::App;
use crate::ingest::Sender;
use crate::network::Peer;
use crate::problem::Problem;
use crate::room::Room;

/// The sender of a request whose token, if one is needed, is good.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What it may do.
    pub(crate) grant: Arc<Grant>,
    /// Where it comes from.
    pub(crate) address: IpAddr,
}

impl Caller {
    /// Whether it may do this in this room.
    pub(crate) fn may(&self, action: Action, room: &Room) -> Result<(), Problem> {
        self.grant.may(action, room.as_str()).map_err(Problem::from)
    }

    /// As the sender of a reaction.
    pub(crate) fn sender(&self) -> Sender<'_> {
        Sender { grant: &self.grant, address: self.address }
    }
}

/// The client's address. Without a connection there is none: 0.0.0.0, which no exemption names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(pub(crate) IpAddr);

impl Address {
    fn of(parts: &Parts, app: &App) -> Self {
        let peer = parts.extensions.get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
        Self(app.config.network.client(peer, &parts.headers))
    }
}

impl FromRequestParts<Arc<App>> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts, app))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let grant = app.access.grant_of(token_in(&parts.headers))?;
        let Address(address) = Address::of(parts, app);
        Ok(Self { grant, address })
    }
}
