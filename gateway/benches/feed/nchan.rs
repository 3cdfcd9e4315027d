//! nchan: nginx with its publish/subscribe module, as a process of its own, and how messages get into it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::plan;
use super::process::{PATIENCE, Process, at_end_of_input, say};

/// Where Debian and others put the module.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "/usr/lib64/nginx/modules/ngx_nchan_module.so",
    "/usr/local/nginx/modules/ngx_nchan_module.so",
];

/// Where clients subscribe.
pub(crate) const SUBSCRIBE: &str = "/subscribe";

/// Between looks at whether nginx listens or has ended: it does not say so.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Longest answer to a message.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// The module, if this machine has it, and nginx.
pub(crate) fn module() -> Option<&'static str> {
    let is_there = Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok();
    MODULES.into_iter().find(|module| is_there && Path::new(module).exists())
}

/// Runs nginx until the parent is gone: nginx itself does not look at its input.
pub(crate) fn role(args: &[String]) {
    let module = plan::value(args, "--module").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // nginx binds by itself; between the two nobody else is likely to be given the same port.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration(&module, address)).unwrap();
    let mut nginx = Command::new("nginx")
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (end, ended) = std::sync::mpsc::channel();
    at_end_of_input(move || {
        let _ = end.send(());
    });
    let since = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < PATIENCE && nginx.try_wait().unwrap().is_none(), "nginx does not listen");
        std::thread::sleep(LOOK_INTERVAL);
    }
    say(&format!("listens on {address} {}", nginx.id()));
    while nginx.try_wait().unwrap().is_none() {
        if ended.recv_timeout(LOOK_INTERVAL).is_ok() {
            nginx.kill().unwrap();
            nginx.wait().unwrap();
        }
    }
}

/// One process that is master and worker: it is the worker's time that is measured, and a master has nothing to do.
fn configuration(module: &str, address: SocketAddr) -> String {
    format!(
        r"load_module {module};
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr error;
events {{
    worker_connections 16000;
    use epoll;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    tcp_nodelay on;
    keepalive_requests 1000000;
    keepalive_timeout 10m;
    server {{
        listen {address} backlog=4096;
        location = /publish {{
            nchan_publisher http;
            nchan_channel_id final-2026;
            nchan_message_buffer_length 64;
            nchan_message_timeout 1m;
        }}
        location = {SUBSCRIBE} {{
            nchan_subscriber websocket;
            nchan_channel_id final-2026;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"
    )
}

/// Starts nginx with `module`.
pub(crate) async fn start(module: &str) -> (Process, SocketAddr) {
    let mut process = Process::start("nchan", &[("--module", module)]);
    let heard = process.heard("listens on").await;
    let (address, id) = heard.split_once(' ').unwrap();
    process.measure(id.parse().unwrap());
    (process, address.parse().unwrap())
}

/// A connection over which messages are published.
pub(crate) struct Publisher {
    stream: TcpStream,
    address: SocketAddr,
}

impl Publisher {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, address }
    }

    /// Publishes `payload`, and reads the answer to its end.
    pub(crate) async fn publish(&mut self, payload: &[u8]) {
        let head = format!(
            "POST /publish HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            payload.len()
        );
        self.stream.write_all(&[head.as_bytes(), payload].concat()).await.unwrap();
        let (mut answer, mut filled) = ([0; ANSWER_BYTES_MAX], 0);
        loop {
            let count = self.stream.read(&mut answer[filled..]).await.unwrap();
            assert!(count > 0, "nchan hung up");
            filled += count;
            let text = String::from_utf8_lossy(&answer[..filled]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                assert!(head.starts_with("http/1.1 20"), "{text}");
                return;
            }
        }
    }
}
