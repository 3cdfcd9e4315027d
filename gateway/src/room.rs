//! Which room a request is about.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ovation_reaction::{ROOM_BYTES_MAX, Reason, Reject, room_is_valid};

use crate::problem::Problem;
use utoipa::IntoParams;

/// A valid room name; needs no escaping in a URL or in JSON.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(names("room"), parameter_in = Path)]
pub(crate) struct Room(
    /// 1 to 64 letters, digits, `-`, `_`, `.` or `~`, beginning with a letter or digit.
    #[param(
        example = "final-2026",
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._~-]*$"
    )]
    String,
);

impl Room {
    /// Checks a name.
    pub(crate) fn named(name: &str) -> Result<Self, Problem> {
        if room_is_valid(name) {
            return Ok(Self(name.to_owned()));
        }
        let detail = format!(
            "a room is named by 1 to {ROOM_BYTES_MAX} letters, digits, '-', '_', '.' or '~', beginning with a letter or digit"
        );
        Err(Problem::rejected(Reject::new(Reason::BadRoom, detail)))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Room {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|error| Problem::bad_request(error.body_text()))?;
        Self::named(&name)
    }
}
