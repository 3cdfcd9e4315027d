//! The floor: one thread that writes what it is given to every socket.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::process::{Process, say};
use super::{frame, plan};

/// Longest message that the parent may send.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Writes each message of its input to each client: 4 bytes of length, then the payload.
pub(crate) fn role(args: &[String]) {
    let clients: usize = plan::number(args, "--clients").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    say(&format!("listens on {}", listener.local_addr().unwrap()));
    // A thread of its own until all are there, so that the end of the input is seen meanwhile.
    let mut accepting = Some(std::thread::spawn(move || accept(&listener, clients)));
    let mut sockets = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let length = u32::from_le_bytes(length) as usize;
        assert!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
        let mut payload = vec![0; length];
        input.read_exact(&mut payload).unwrap();
        if let Some(accepting) = accepting.take() {
            sockets = accepting.join().unwrap();
        }
        write_to_all(&mut sockets, &frame::text(&payload));
    }
}

fn accept(listener: &TcpListener, clients: usize) -> Vec<TcpStream> {
    let accept = |_| {
        let (mut socket, _) = listener.accept().unwrap();
        frame::accept(&mut socket).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    (0..clients).map(accept).collect()
}

fn write_to_all(sockets: &mut [TcpStream], frame: &[u8]) {
    for socket in sockets {
        match socket.write(frame) {
            Ok(written) => {
                assert_eq!(written, frame.len(), "a client does not keep up, and there is no queue here")
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("a client does not keep up, and there is no queue here")
            }
            Err(error) => panic!("a client is gone: {error}"),
        }
    }
}

/// Starts a raw writer that waits for so many clients.
pub(crate) async fn start(clients: usize) -> (Process, SocketAddr) {
    let mut process = Process::start("raw", &[("--clients", &clients.to_string())]);
    let address = process.heard("listens on").await.parse().unwrap();
    (process, address)
}

/// Has it write `payload` to all.
pub(crate) async fn publish(process: &mut Process, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap();
    process.tell(&[&length.to_le_bytes(), payload].concat()).await;
}
