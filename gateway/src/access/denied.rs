//! Why somebody may not.

use super::TOKEN_BYTES_MAX;
use super::grant::Action;

/// Why a request is refused. No text of a token is in it, but for rooms and actions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// A token is needed.
    #[error(
        "send a token: `Authorization: Bearer TOKEN`, or on a feed the subprotocol or a first message of type `auth`"
    )]
    NoToken,
    /// A feed client sent none in time.
    #[error("no token came in time")]
    TokenTimeout,
    /// The token is too long.
    #[error("the token has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JWT, or its claims cannot be used.
    #[error("the token cannot be used: {0}")]
    Malformed(&'static str),
    /// There is no key for it.
    #[error("no key of this gateway is for the token's `alg` and `kid`")]
    UnknownKey,
    /// It was not signed with the key.
    #[error("the token's signature is not from a key of this gateway")]
    BadSignature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is from somebody else.
    #[error("the token's `iss` is not the one that this gateway takes")]
    WrongIssuer,
    /// It is for somebody else.
    #[error("the token's `aud` does not name this gateway")]
    WrongAudience,
    /// It is not for this room.
    #[error("the token is not for the room {room}; {}", rooms_text(covered))]
    Room {
        /// The room asked for.
        room: String,
        /// The patterns of the token.
        covered: String,
    },
    /// It is not for this action.
    #[error("the token does not allow to {action}; its `allow` names {allowed}")]
    Action {
        /// The action asked for.
        action: Action,
        /// The actions of the token.
        allowed: String,
    },
    /// The reaction names another user than the token.
    #[error("the token is for another user; leave `user` out to react as the token's `sub`")]
    OtherUser,
}

fn rooms_text(covered: &str) -> String {
    match covered {
        "" => {
            r#"it is for no room at all: give it `rooms`, such as ["final-*"], or ["*"] for all"#.to_owned()
        }
        covered => format!("its `rooms` are {covered}"),
    }
}

impl Denied {
    /// What `WWW-Authenticate` says; none where no token is what is wrong.
    pub(crate) fn challenge(&self) -> Option<Challenge> {
        Some(match self {
            Self::NoToken | Self::TokenTimeout => Challenge::Token,
            Self::TooLong | Self::Malformed(_) => Challenge::Unusable,
            Self::UnknownKey | Self::BadSignature => Challenge::Signature,
            Self::Expired => Challenge::Expired,
            Self::NotYetValid => Challenge::NotYetValid,
            Self::WrongIssuer | Self::WrongAudience => Challenge::Elsewhere,
            Self::Room { .. } | Self::Action { .. } => Challenge::Scope,
            Self::OtherUser => return None,
        })
    }

    /// Whether it is for want of a good token, and not because a good one does not cover the request.
    pub(crate) fn is_unauthorized(&self) -> bool {
        !matches!(self, Self::Room { .. } | Self::Action { .. } | Self::OtherUser)
    }
}

/// What a client is asked for (RFC 6750, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Any token.
    Token,
    /// One that can be read.
    Unusable,
    /// One that is signed with a known key.
    Signature,
    /// One that has not expired.
    Expired,
    /// One that is valid already.
    NotYetValid,
    /// One for this gateway.
    Elsewhere,
    /// One that allows more.
    Scope,
}

impl Challenge {
    /// The value of `WWW-Authenticate`.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Token => "Bearer",
            Self::Unusable => r#"Bearer error="invalid_token", error_description="the token cannot be used""#,
            Self::Signature => {
                r#"Bearer error="invalid_token", error_description="the signature is not from a known key""#
            }
            Self::Expired => r#"Bearer error="invalid_token", error_description="the token has expired""#,
            Self::NotYetValid => {
                r#"Bearer error="invalid_token", error_description="the token is not valid yet""#
            }
            Self::Elsewhere => {
                r#"Bearer error="invalid_token", error_description="wrong issuer or audience""#
            }
            Self::Scope => r#"Bearer error="insufficient_scope""#,
        }
    }
}
