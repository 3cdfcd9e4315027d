//! The clients, as a process of their own: one thread, one epoll, everything is read, counted and forgotten.
//!
//! It says `connected`, then `all NUMBER BYTES` when each client has had so many updates, with the bytes of their payloads
//! so far, and at the end `written`, if arrivals are asked for. A client that gets anything else but updates and pings ends it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::frame::{self, Kind, Scanner};
use super::plan;
use super::process::{PATIENCE, at_end_of_input, say};

/// Bytes that are read at a time: many updates, so that one read takes what is there.
const READ_BYTES: usize = 64 * 1024;

/// Sockets that are looked at in one go.
const EVENTS_MAX: usize = 1024;

/// What the kernel may keep for a client that does not read: little, so that it is noticed early.
const STALLED_BUFFER_BYTES: usize = 4 * 1024;

/// Updates that are counted: more than a run of the largest plan has.
const UPDATES_MAX: usize = 10_000_000;

/// Arrivals that are kept, 8 bytes each.
const ARRIVALS_MAX: usize = 50_000_000;

/// One client that reads.
struct Client {
    stream: TcpStream,
    scanner: Scanner,
    /// Updates so far.
    updates: usize,
}

/// When each client had each update, if that is asked for.
struct Arrivals {
    file: String,
    /// Updates that are timed.
    updates: usize,
    /// For each update, for each client: ns since 1970.
    times: Vec<u64>,
}

/// All clients that read.
struct Crowd {
    clients: Vec<Client>,
    /// For each update, the clients that have had it.
    reached: Vec<usize>,
    /// Payload bytes of updates.
    bytes: u64,
    arrivals: Option<Arrivals>,
}

/// Connects clients to `--address`, and counts what they get, until the parent is gone.
pub(crate) fn role(args: &[String]) {
    at_end_of_input(|| std::process::exit(0));
    let address: SocketAddr = plan::number(args, "--address").unwrap();
    let path = plan::value(args, "--path").unwrap();
    let readers: usize = plan::number(args, "--clients").unwrap();
    let stalled: usize = plan::number(args, "--stalled").unwrap_or(0);
    let is_greeted = plan::number(args, "--greeted").unwrap_or(false);
    let arrivals = plan::value(args, "--arrivals").map(|file| {
        let updates: usize = plan::number(args, "--updates").unwrap();
        assert!(
            updates * readers <= ARRIVALS_MAX,
            "{updates} updates to {readers} clients are too many to be timed"
        );
        Arrivals { file, updates, times: vec![0; updates * readers] }
    });
    // Open, and never read again.
    let stalled: Vec<_> = (0..stalled).map(|_| connect(address, &path, is_greeted, true)).collect();
    let clients = (0..readers).map(|_| {
        let stream = connect(address, &path, is_greeted, false);
        stream.set_nonblocking(true).unwrap();
        Client { stream: TcpStream::from_std(stream), scanner: Scanner::default(), updates: 0 }
    });
    let crowd = Crowd { clients: clients.collect(), reached: Vec::new(), bytes: 0, arrivals };
    crowd.run();
    drop(stalled);
}

/// A client whose WebSocket is open, and who has had its first message if there is one.
fn connect(address: SocketAddr, path: &str, is_greeted: bool, is_stalled: bool) -> std::net::TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    if is_stalled {
        socket.set_recv_buffer_size(STALLED_BUFFER_BYTES).unwrap();
    }
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = frame::open(&mut stream, address, path).unwrap();
    let (mut scanner, mut buffer) = (Scanner::default(), vec![0; READ_BYTES]);
    let (mut greetings, mut pings) = (0, Vec::new());
    loop {
        scanner.feed(&bytes, |found| match found.kind {
            Kind::Other => greetings += 1,
            Kind::Ping(payload, length) => pings.push(frame::pong(&payload[..length])),
            kind => panic!("a client began with {kind:?}"),
        });
        for pong in pings.drain(..) {
            stream.write_all(&pong).unwrap();
        }
        if greetings == usize::from(is_greeted) && scanner.is_between() {
            return stream;
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "a client was closed at once");
        bytes = buffer[..count].to_vec();
    }
}

impl Crowd {
    fn run(mut self) {
        let mut poll = Poll::new().unwrap();
        for (index, client) in self.clients.iter_mut().enumerate() {
            poll.registry().register(&mut client.stream, Token(index), Interest::READABLE).unwrap();
        }
        say("connected");
        let (mut events, mut buffer) = (Events::with_capacity(EVENTS_MAX), vec![0; READ_BYTES]);
        loop {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.unwrap(),
            }
            for event in &events {
                self.read(event.token().0, &mut buffer);
            }
        }
    }

    /// Reads what is there for a client.
    fn read(&mut self, index: usize, buffer: &mut [u8]) {
        loop {
            let client = &mut self.clients[index];
            let count = match client.stream.read(buffer) {
                Ok(0) => panic!("client {index} was closed after {} updates", client.updates),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("client {index} after {} updates: {error}", client.updates),
            };
            self.take(index, &buffer[..count]);
            // Less than there was space for: the next bytes are an event of their own.
            if count < buffer.len() {
                return;
            }
        }
    }

    fn take(&mut self, index: usize, bytes: &[u8]) {
        let Self { clients, reached, bytes: payload_bytes, arrivals } = self;
        let all = clients.len();
        let now = arrivals.as_ref().map_or(0, |_| now());
        let Client { stream, scanner, updates } = &mut clients[index];
        scanner.feed(bytes, |found| match found.kind {
            Kind::Update => {
                if reached.len() <= *updates {
                    assert!(reached.len() < UPDATES_MAX, "too many updates");
                    reached.push(0);
                }
                reached[*updates] += 1;
                *payload_bytes += found.payload_bytes;
                if let Some(arrivals) = arrivals
                    && let Some(time) = arrivals.times.get_mut(*updates * all + index)
                {
                    *time = now;
                }
                let is_last = reached[*updates] == all;
                *updates += 1;
                if is_last {
                    say(&format!("all {updates} {payload_bytes}"));
                    arrivals.iter().filter(|arrivals| arrivals.updates == *updates).for_each(Arrivals::write);
                }
            }
            // So small that the kernel takes it, or the client is in trouble anyhow.
            Kind::Ping(payload, length) => stream.write_all(&frame::pong(&payload[..length])).unwrap(),
            kind => panic!("client {index} was sent {kind:?} after {updates} updates"),
        });
    }
}

impl Arrivals {
    fn write(&self) {
        let bytes: Vec<u8> = self.times.iter().flat_map(|time| time.to_le_bytes()).collect();
        std::fs::write(&self.file, bytes).unwrap();
        say("written");
    }
}

/// The clock that the parent and the clients share: ns since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
