//! HTTP and WebSocket gateway: ingest, hub, feed, pages.
#![forbid(unsafe_code)]
