//! What a reaction has to pass on its way to the broker, in this order: whose it is, what it says,
//! whether its sender may, whether its room takes it, and whether that is fair.

use std::borrow::Cow;
use std::net::IpAddr;

use ovation_reaction::Draft;

use super::{Checked, check};
use crate::App;
use crate::access::{Action, Grant};
use crate::fair::{self, Left};
use crate::problem::Problem;

/// Who sends a reaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// What it may do.
    pub(crate) grant: &'a Grant,
    /// The address that it is counted by.
    pub(crate) address: IpAddr,
}

/// A reaction that may be stored.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// What is stored.
    pub(crate) reaction: Checked,
    /// What its sender has left.
    pub(crate) left: Left,
}

impl App {
    /// Admits a reaction whose room is filled in; `key` is the id of the request, where it has one.
    pub(crate) fn admit(
        &self,
        sender: Sender<'_>,
        mut draft: Draft<'_>,
        key: Option<&str>,
    ) -> Result<Admitted, Problem> {
        if let Some(user) = sender.grant.user() {
            sender.grant.user_of(draft.user.as_deref())?;
            draft.user = Some(Cow::Owned(user.to_owned()));
        }
        let reaction = check(&self.config.ingest, draft, key)?;
        sender.grant.may(Action::React, &reaction.room)?;
        self.rooms
            .check(&reaction.room, reaction.emoji)
            .map_err(|refusal| Problem::room_refuses(&refusal))?;
        let user = reaction.user.as_deref().map(|user| match sender.grant.user() {
            Some(_) => fair::User::Proven(user),
            None => fair::User::Claimed(user),
        });
        let caller = fair::Caller { user, address: sender.address, room: &reaction.room };
        let left = self.buckets.check(&caller, 1).map_err(|limited| Problem::rate_limited(&limited))?;
        Ok(Admitted { reaction, left })
    }
}
