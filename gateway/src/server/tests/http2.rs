//! HTTP/2 with prior knowledge, frame by frame.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A request without a body: `:method GET`, `:scheme http`, the path and the host as literals.
fn request(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x01, 1, b'a']);
    // The end of the stream, and of the headers.
    frame(HEADERS, 0x5, stream, &block)
}

/// The next frame; none at the end of the stream.
async fn next(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("short")];
        stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], head[4], payload))
    };
    tokio::time::timeout(PATIENCE, read).await.expect("a frame in time")
}

/// The payload of the next frame of a kind.
async fn next_of(stream: &mut TcpStream, wanted: u8) -> Option<Vec<u8>> {
    loop {
        let (kind, _, payload) = next(stream).await?;
        if kind == wanted {
            return Some(payload);
        }
    }
}

/// A connection on which both sides have said what they want.
async fn connect(served: &Served, settings: &[u8]) -> TcpStream {
    let mut stream = served.connect().await;
    let mut hello = PREFACE.to_vec();
    hello.extend(frame(SETTINGS, 0, 0, settings));
    stream.write_all(&hello).await.expect("sent");
    assert_eq!(next(&mut stream).await.map(|(kind, ..)| kind), Some(SETTINGS));
    stream.write_all(&frame(SETTINGS, 1, 0, &[])).await.expect("sent");
    stream
}

async fn peer(stream: &mut TcpStream, id: u32) {
    stream.write_all(&request(id, "/peer")).await.expect("sent");
    let head = next_of(stream, HEADERS).await.expect("an answer");
    assert_eq!(head.first(), Some(&0x88), "`:status: 200`");
    assert_eq!(next_of(stream, DATA).await.as_deref(), Some(&b"127.0.0.1"[..]));
}

#[tokio::test]
async fn the_same_port_speaks_both() {
    let served = Served::start(|_| {}).await;
    let mut stream = connect(&served, &[]).await;
    peer(&mut stream, 1).await;
    peer(&mut stream, 3).await;
    let mut http1 = served.known().await;
    assert_eq!(ask(&mut http1, "/peer").await, "127.0.0.1");
    drop(stream);
    served.end().await;
}

#[tokio::test]
async fn the_preface_may_come_in_pieces() {
    let served = Served::start(|_| {}).await;
    let mut stream = served.connect().await;
    stream.set_nodelay(true).expect("set");
    for byte in PREFACE {
        stream.write_all(&[*byte]).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("sent");
    peer(&mut stream, 1).await;
    drop(stream);
    served.end().await;
}

#[tokio::test]
async fn limits_are_told() {
    let served = Served::start(|_| {}).await;
    let mut stream = served.connect().await;
    stream.write_all(PREFACE).await.expect("sent");
    let settings = next_of(&mut stream, SETTINGS).await.expect("settings");
    let settings: Vec<(u16, u32)> = settings
        .chunks(6)
        .map(|six| {
            (u16::from_be_bytes([six[0], six[1]]), u32::from_be_bytes([six[2], six[3], six[4], six[5]]))
        })
        .collect();
    for (name, value) in [(3, 100), (6, 16 * 1024)] {
        assert!(settings.contains(&(name, value)), "{settings:?}");
    }
    drop(stream);
    served.end().await;
}

#[tokio::test]
async fn who_opens_no_window_is_cut() {
    let served = Served::start(|config| config.connections.write_timeout = Duration::from_millis(300)).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: answers may have heads, but no bodies.
    let mut stream = connect(&served, &[0, 4, 0, 0, 0, 0]).await;
    stream.write_all(&request(1, "/large")).await.expect("sent");
    served.until(|counts| &counts.write_timeouts, 1).await;
    assert!(is_closed(&mut stream).await);
    served.end().await;
}

#[tokio::test]
async fn idle_connections_are_told_to_go() {
    let served = Served::start(|config| {
        config.connections.idle_timeout = Duration::from_millis(500);
        config.connections.header_timeout = Duration::from_millis(200);
    })
    .await;
    let begin = std::time::Instant::now();
    let mut stream = connect(&served, &[]).await;
    peer(&mut stream, 1).await;
    assert!(next_of(&mut stream, GOAWAY).await.is_some());
    assert!(begin.elapsed() >= Duration::from_millis(400));
    // One that asks for nothing has less time.
    let mut silent = connect(&served, &[]).await;
    assert!(next_of(&mut silent, GOAWAY).await.is_some());
    for stream in [&mut stream, &mut silent] {
        assert!(is_closed(stream).await, "although it answers nothing");
    }
    served.end().await;
}

#[tokio::test]
async fn idle_connections_make_room() {
    let served = Served::start(|config| config.connections.max = 1).await;
    let mut stream = connect(&served, &[]).await;
    peer(&mut stream, 1).await;
    let mut new = served.known().await;
    served.until(|counts| &counts.closed_under_pressure, 1).await;
    assert!(is_closed(&mut stream).await);
    assert_eq!(ask(&mut new, "/peer").await, "127.0.0.1");
    served.end().await;
}

#[tokio::test]
async fn a_drain_ends_idle_connections_and_cuts_the_rest() {
    let served = Served::start(|config| config.drain = Duration::from_millis(500)).await;
    let mut stream = connect(&served, &[]).await;
    stream.write_all(&request(1, "/never")).await.expect("sent");
    peer(&mut stream, 3).await;
    let took = served.end().await;
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(is_closed(&mut stream).await);
}
