//! The parameters that a module is opened with.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A SmartModule's parameters: the user's own, and those of the engine, which begin with `ovation.`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

/// A parameter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name:?} has the value {value:?}; expected {expected}")]
pub struct ParamError {
    /// Its name.
    pub name: String,
    /// What it said.
    pub value: String,
    /// What it may say.
    pub expected: String,
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl Params {
    /// The text of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter as a number or the like; `default` where it is absent.
    ///
    /// # Errors
    /// If it is there and is no such thing; `expected` is what the message asks for.
    pub fn parse<T: FromStr>(&self, name: &str, default: T, expected: &str) -> Result<T, ParamError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| ParamError {
                name: name.to_owned(),
                value: value.to_owned(),
                expected: expected.to_owned(),
            }),
        }
    }
}
