//! An echo on the feed's own WebSocket: handshake, frames and sockets are those of the feed, so that a client that tests servers
//! by what they send back can test them. No part of the crate's interface.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use ovation_client::Cluster;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Socket;
use super::end::End;
use super::frames::{Frames, Said};
use super::handshake::{Handshake, Opened};
use super::line::Line;
use crate::Config;
use crate::form::{Carrier, Codec, Fields, Form, Reach};
use crate::server::Server;

/// Sends back every message of every client, until the shutdown.
pub async fn echo(listener: TcpListener, message_bytes_max: usize, shutdown: CancellationToken) {
    let route = get(async move |handshake: Handshake| {
        let packed = handshake.is_packed();
        handshake.answer(async move |opened| serve(opened, packed, message_bytes_max).await)
    });
    let config = Config::new(Cluster::new("127.0.0.1:1"));
    let (tasks, cut, counts) = (TaskTracker::new(), CancellationToken::new(), Arc::default());
    let server = Server { config: &config, counts: &counts, tasks: &tasks, shutdown: &shutdown, cut: &cut };
    server.serve(listener, Router::new().route("/", route)).await;
}

async fn serve(Opened { wire, read }: Opened, packed: bool, bytes_max: usize) {
    let (reach, fields) = (Reach::Partition, Fields::ALL);
    let form = Form { reach, codec: Codec::Json, fields, carrier: Carrier::WebSocket, packed };
    let frames = Frames::new(bytes_max, packed, read);
    let mut socket = Socket { line: Arc::new(Line::new(wire)), frames, form };
    let patience = Config::new(Cluster::new("127.0.0.1:1")).write_timeout;
    let end = loop {
        match socket.hear().await {
            Ok(Said::Text(text)) => socket.send(form.frame(true, text.as_bytes())),
            Ok(Said::Binary(bytes)) => socket.send(form.frame(false, &bytes)),
            Ok(Said::Ping(_) | Said::Pong) => {}
            Ok(Said::Close(code)) => break End::Closed(code),
            Err(end) => break end,
        }
        // It reads on when the client has what it sent.
        while socket.line.due(patience).is_some() {
            if socket.line.socket().writable().await.is_err() {
                return;
            }
            socket.line.pump(false, false);
        }
    };
    socket.close(end, patience).await;
}
