//! Clients that send rubbish or stop reading: it costs them their connection, and nobody else anything.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::*;
use fluvio::Offset;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request: length, key, version, correlation, client name, body.
fn request(key: u16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut rest = key.to_be_bytes().to_vec();
    rest.extend(version.to_be_bytes());
    rest.extend(7_i32.to_be_bytes());
    rest.extend([0, 1, b'x']);
    rest.extend(body);
    let mut bytes = (rest.len() as i32).to_be_bytes().to_vec();
    bytes.extend(rest);
    bytes
}

fn short_string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as i16).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// Whether the broker closes the connection after `bytes`, without an answer.
async fn is_hung_up_on(address: SocketAddr, bytes: &[u8]) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.is_ok() && answer.is_empty()
}

/// A produce request for one partition with these record bytes.
fn produce(records: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0, 0, 3, 232, 0, 0, 0, 1];
    body.extend(short_string("events"));
    body.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    body.extend((records.len() as i32).to_be_bytes());
    body.extend(records);
    body.extend([0; 4]);
    request(0, 25, &body)
}

/// A batch whose header announces one record.
fn batch(records: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend((45 + records.len() as i32).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([0; 16]);
    bytes.extend([0xff; 14]);
    bytes.extend(records);
    bytes
}

async fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut length = [0; 4];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut length)).await.unwrap().unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_ends_the_connection_and_honest_clients_notice_nothing() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    let honest = tokio::spawn(async move {
        send_each(&client, "events", numbered(0..200)).await;
        assert_eq!(texts(&all(&client, "events").await), numbered(0..200).collect::<Vec<_>>());
    });
    let ports = [fixture.broker().control_addr(), fixture.broker().spu_addr()];
    for port in ports {
        for length in [-1, 0, 3, i32::MIN, i32::MAX, 300_000_000] {
            let mut bytes = request(18, 2, &[]);
            bytes[..4].copy_from_slice(&i32::to_be_bytes(length));
            assert!(is_hung_up_on(port, &bytes).await, "{length}");
        }
        assert!(is_hung_up_on(port, b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n").await);
        assert!(is_hung_up_on(port, &[0xff; 1000]).await);
        assert!(is_hung_up_on(port, &request(4242, 1, &[])).await, "unknown key");
        assert!(is_hung_up_on(port, &request(18, 99, &[])).await, "unknown version");
    }
    let [control, spu] = ports;
    // Lengths inside the body: a list, a string, a block of bytes, all longer than what is there.
    let long = [0x7f, 0xff, 0xff, 0xff];
    for key in 1001..=1006 {
        assert!(is_hung_up_on(control, &request(key, 19, &long)).await, "{key}");
    }
    let mut module = short_string("SmartModule");
    module.extend([0, 0, 0, 12, 0, 1, b'm', 0, 0, 0, 0, 0]);
    module.extend(long);
    assert!(is_hung_up_on(control, &request(1001, 19, &module)).await);
    for key in [0, 1, 1002, 1003, 1005, 1006, 1007, 1008] {
        assert!(is_hung_up_on(spu, &request(key, 25, &long)).await, "{key}");
    }
    tokio::time::timeout(PATIENCE, honest).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_batches_are_refused_and_never_stored() {
    let fixture = start().await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    let spu = fixture.broker().spu_addr();
    // A record of a terabyte, of negative length, cut short; more records announced than there are; no records.
    let terabyte = [0, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    let good = [0, 0, 0, 1, 0x0e, 0, 0, 0, 0, 2, b'x', 0];
    let mut two = good;
    two[3] = 2;
    let mut large_value = good;
    large_value[9] = 0x7e;
    for (name, records) in [
        ("terabyte", &terabyte[..]),
        ("negative", &[0, 0, 0, 1, 0x01]),
        ("count", &[0x7f, 0xff, 0xff, 0xff]),
        ("two", &two),
        ("value", &large_value),
        ("none", &[0, 0, 0, 0]),
        ("short", &good[..9]),
    ] {
        let answer = answer_to(spu, &produce(&batch(records))).await;
        // Correlation, one topic and its name, one partition and its number, then the error: 2 is "other".
        assert_eq!(answer[4 + 4 + 8 + 4 + 4..][..2], [0, 2], "{name}: {answer:?}");
    }
    for cut in 1..60 {
        let whole = batch(&good);
        let answer = answer_to(spu, &produce(&whole[..whole.len() - cut])).await;
        assert_eq!(answer[24..26], [0, 2], "{cut}");
    }
    let answer = answer_to(spu, &produce(&batch(&good))).await;
    assert_eq!(answer[24..26], [0, 0], "the good one is stored: {answer:?}");
    assert_eq!(texts(&all(&client, "events").await), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_and_idle_connections_hold_nobody_up() {
    let fixture = start_with(|config| {
        config.limits.connections_max = 20;
        config.limits.stall_timeout = Duration::from_millis(300);
    })
    .await;
    let control = fixture.broker().control_addr();
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(control).await.unwrap();
        // The beginning of a request that never comes.
        stream.write_all(&[0, 0, 0, 50, 0, 18]).await.unwrap();
        held.push(stream);
    }
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    assert_eq!(send_each(&client, "events", numbered(0..1)).await, [0]);
    for mut stream in held {
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "given up");
    }
    // More connections than there may be: the rest is turned away, and later ones are served again.
    let mut many = Vec::new();
    for _ in 0..40 {
        many.push(TcpStream::connect(control).await.unwrap());
    }
    let mut refused = 0;
    for stream in &mut many {
        let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut [0])).await;
        refused += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!((20..40).contains(&refused), "{refused}");
    drop(many);
    let fresh = tokio::time::timeout(PATIENCE, async {
        loop {
            let config = fluvio::FluvioClusterConfig::new(control.to_string());
            if let Ok(client) = fluvio::Fluvio::connect_with_config(&config).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(all(&fresh.await.unwrap(), "events").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_dropped() {
    let fixture = start_with(|config| config.limits.stall_timeout = Duration::from_millis(500)).await;
    let client = fixture.client().await;
    create_topic(&client, "events", 1).await;
    send_batch(&client, "events", (0..8).map(|_| "x".repeat(1_000_000))).await.unwrap();
    let spu = fixture.broker().spu_addr();
    let mut slow = TcpStream::connect(spu).await.unwrap();
    // Plain fetches of everything, never read.
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1];
    body.extend(short_string("events"));
    body.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    body.extend([0; 8]);
    body.extend([0; 8]);
    body.extend([0x7f, 0xff, 0xff, 0xff]);
    body.extend([0, 0, 0, 0]);
    let fetch = request(1, 25, &body);
    let flood = async {
        loop {
            // Until the broker neither reads nor keeps the connection.
            if slow.write_all(&fetch).await.is_err() {
                return;
            }
        }
    };
    let honest = async {
        for number in 0..20 {
            let config = reading("events", 0, Offset::end()).build().unwrap();
            let mut stream = open(&client, config).await;
            send_each(&client, "events", numbered(number..number + 1)).await;
            assert_eq!(texts(&take(&mut stream, 1).await), numbered(number..number + 1).collect::<Vec<_>>());
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(flood, honest) }).await.unwrap();
}
