//! SmartModule word-count.
