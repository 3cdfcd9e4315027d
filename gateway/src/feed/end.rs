//! How a feed ends, and what a client is told of it. From 4000 on codes are an application's own (RFC 6455, 7.4.2).

use super::frames::Broken;
use crate::access::Denied;

/// Why a feed ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client is gone without a word.
    Gone,
    /// The client goes; the code that it gave.
    Closed(Option<u16>),
    /// The gateway goes.
    Restart,
    /// The client is not understood.
    Broken(Broken),
    /// It did not answer pings.
    Silent,
    /// It did not read.
    Slow,
    /// Another token is needed.
    Unauthorized,
    /// Its token has run out.
    Expired,
    /// The token is good, but not for this.
    Forbidden,
}

impl End {
    /// Why somebody was denied.
    pub(crate) fn of(denied: &Denied) -> Self {
        if denied.is_unauthorized() { Self::Unauthorized } else { Self::Forbidden }
    }

    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Closed(_) => "closed",
            Self::Restart => "restart",
            Self::Broken(_) => "broken",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::Unauthorized => "unauthorized",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
        }
    }

    /// The close code and the reason.
    pub(crate) fn code(self) -> (u16, &'static str) {
        match self {
            Self::Gone | Self::Closed(_) => (1000, ""),
            Self::Restart => (1012, "reconnect elsewhere"),
            Self::Broken(broken) => broken.code(),
            Self::Silent => (1008, "no answer to pings"),
            Self::Unauthorized => (4401, "unauthorized"),
            Self::Expired => (4401, "token expired"),
            Self::Forbidden => (4403, "forbidden"),
            Self::Slow => (4408, "too slow: updates were not read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_code() {
        let comes_back = [
            (End::Restart, "at once, elsewhere"),
            (End::Broken(Broken::Protocol), "no: the client is at fault"),
            (End::Broken(Broken::NotText), "no: the client is at fault"),
            (End::Silent, "yes"),
            (End::Broken(Broken::TooLarge), "no: the client is at fault"),
            (End::Unauthorized, "with another token"),
            (End::Expired, "with another token"),
            (End::Forbidden, "no"),
            (End::Slow, "yes"),
        ];
        let lines = comes_back.map(|(end, whether)| {
            let (code, reason) = end.code();
            format!("| {code} | {reason} | {whether} |\n")
        });
        let document = include_str!("../../../docs/feed.md");
        assert!(document.contains(&lines.concat()), "the table is to be\n{}", lines.concat());
    }
}
