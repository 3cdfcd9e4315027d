//! SmartModule fence.
