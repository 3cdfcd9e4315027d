//! What a reaction has to pass on its way to the broker, in this order: whose it is, what it says, whether its sender may.

use std::borrow::Cow;
use std::net::IpAddr;

use ovation_reaction::Draft;

use super::{Checked, check};
use crate::App;
use crate::access::{Action, Grant};
use crate::problem::Problem;

/// Who sends a reaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// What it may do.
    pub(crate) grant: &'a Grant,
    /// The address that it is counted by.
    pub(crate) address: IpAddr,
}

impl App {
    /// Admits a reaction whose room is filled in; `key` is the id of the request, where it has one.
    pub(crate) fn admit(
        &self,
        sender: Sender<'_>,
        mut draft: Draft<'_>,
        key: Option<&str>,
    ) -> Result<Checked, Problem> {
        if let Some(user) = sender.grant.user() {
            sender.grant.user_of(draft.user.as_deref())?;
            draft.user = Some(Cow::Owned(user.to_owned()));
        }
        let checked = check(&self.config.ingest, draft, key)?;
        sender.grant.may(Action::React, &checked.room)?;
        Ok(checked)
    }
}
