//! The vocabulary of reactions: parsing, validation, emoji canon.
#![forbid(unsafe_code)]
