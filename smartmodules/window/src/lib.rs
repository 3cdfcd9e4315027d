//! SmartModule window.
