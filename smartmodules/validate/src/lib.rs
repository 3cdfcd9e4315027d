//! SmartModule validate.
