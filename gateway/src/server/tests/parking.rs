//! Connections that are taken back from hyper between requests, and given to it again.

use super::*;

/// Longer than a connection has to be idle to be parked.
const PAUSE: Duration = Duration::from_millis(250);

#[tokio::test]
async fn a_parked_connection_goes_on() {
    let served = Served::start(|_| {}).await;
    let mut stream = served.known().await;
    for _ in 0..3 {
        served.parked(1).await;
        assert_eq!(ask(&mut stream, "/peer").await, "127.0.0.1");
    }
    served.parked(1).await;
    assert!(served.end().await < Duration::from_secs(2), "parked connections end at once");
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn idle_connections_end() {
    let served = Served::start(|config| {
        config.connections.idle_timeout = Duration::from_millis(500);
        config.connections.header_timeout = Duration::from_millis(200);
    })
    .await;
    let mut stream = served.known().await;
    let begin = std::time::Instant::now();
    served.parked(1).await;
    assert!(is_closed(&mut stream).await);
    assert!(begin.elapsed() >= Duration::from_millis(400), "a head's time is not an idle one's");
    assert_eq!(served.counts.header_timeouts.load(Ordering::Relaxed), 0);
    served.end().await;
}

#[tokio::test]
async fn a_part_of_a_head_that_came_too_early_is_kept_and_timed() {
    let served = Served::start(|config| config.connections.header_timeout = Duration::from_secs(1)).await;
    let (mut good, mut bad) = (served.connect().await, served.connect().await);
    for stream in [&mut good, &mut bad] {
        send(stream, "GET /peer HTTP/1.1\r\nhost: a\r\n\r\nGET /pe").await;
        assert_eq!(answer(stream).await.as_deref(), Some("127.0.0.1"));
    }
    tokio::time::sleep(PAUSE).await;
    send(&mut good, "er HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer(&mut good).await.as_deref(), Some("127.0.0.1"));
    served.until(|counts| &counts.header_timeouts, 1).await;
    assert!(is_closed(&mut bad).await);
    served.parked(1).await;
    drop(good);
    served.end().await;
}

#[tokio::test]
async fn a_body_that_nobody_read_is_never_a_request() {
    for buffered_max in [512, 0] {
        leave_bodies(buffered_max).await;
    }
}

async fn leave_bodies(buffered_max: usize) {
    let served = Served::start(|config| config.connections.buffered_max = buffered_max).await;
    let inner = "GET /peer HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = format!("POST /deaf HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", inner.len());
    // All at once: hyper skips it, and the connection is parked.
    let mut stream = served.connect().await;
    send(&mut stream, &format!("{head}{inner}")).await;
    assert_eq!(answer(&mut stream).await.as_deref(), Some("what?"));
    served.parked(1).await;
    assert_eq!(ask(&mut stream, "/peer").await, "127.0.0.1");
    drop(stream);
    served.until(|counts| &counts.open, 0).await;
    // In part: the rest is not waited for.
    for cut in [0, 4, inner.len() - 1] {
        let mut stream = served.connect().await;
        let (begin, rest) = inner.split_at(cut);
        send(&mut stream, &format!("{head}{begin}")).await;
        assert_eq!(answer(&mut stream).await.as_deref(), Some("what?"));
        tokio::time::sleep(PAUSE).await;
        // The connection may be gone already.
        let _ = stream.write_all(rest.as_bytes()).await;
        let _ = stream.write_all(inner.as_bytes()).await;
        assert_eq!(answer(&mut stream).await, None, "cut at {cut}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_drain_waits_for_requests_and_not_for_parked_connections() {
    let served = Served::start(|config| config.drain = Duration::from_millis(500)).await;
    let mut parked = served.known().await;
    served.parked(1).await;
    let mut busy = served.connect().await;
    send(&mut busy, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    served.until(|counts| &counts.open, 2).await;
    served.shutdown.cancel();
    assert!(is_closed(&mut parked).await);
    let took = served.end().await;
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// A small generator of numbers, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).expect("small") % bound
    }
}

/// Some requests in a row and their answers.
fn requests(random: &mut Random) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut answers) = (String::new(), Vec::new());
    let count = 2 + random.below(30);
    for number in 0..count {
        let close = if number + 1 == count { "connection: close\r\n" } else { "" };
        let body = format!("{number}:{}", "b".repeat(random.below(3) * random.below(3_000)));
        match random.below(3) {
            0 => {
                bytes += &format!("GET /peer HTTP/1.1\r\nhost: a\r\n{close}\r\n");
                answers.push("127.0.0.1".to_owned());
            }
            1 => {
                let length = body.len();
                bytes += &format!(
                    "POST /echo HTTP/1.1\r\nhost: a\r\n{close}content-length: {length}\r\n\r\n{body}"
                );
                answers.push(body);
            }
            _ => {
                let (first, second) = body.split_at(random.below(body.len()).max(1));
                bytes += &format!(
                    "POST /echo HTTP/1.1\r\nhost: a\r\n{close}transfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n",
                    first.len(),
                );
                if !second.is_empty() {
                    bytes += &format!("{:x}\r\n{second}\r\n", second.len());
                }
                bytes += "0\r\n\r\n";
                answers.push(body);
            }
        }
    }
    (bytes.into_bytes(), answers)
}

#[tokio::test]
async fn however_requests_are_cut_each_has_its_answer_once_and_in_order() {
    // Parked after a moment, and parked at once.
    for buffered_max in [512, 0] {
        cut_requests(buffered_max).await;
    }
}

async fn cut_requests(buffered_max: usize) {
    let served = Served::start(|config| config.connections.buffered_max = buffered_max).await;
    let mut runs = tokio::task::JoinSet::new();
    for seed in 1..=64 {
        let mut random = Random(seed << 32 | 0x9E37_79B9);
        let (bytes, answers) = requests(&mut random);
        let (mut reading, mut writing) = served.connect().await.into_split();
        runs.spawn(async move {
            let write = tokio::spawn(async move {
                let mut rest = &bytes[..];
                let mut pauses = 12;
                while !rest.is_empty() {
                    let (piece, later) = rest.split_at(1 + random.below(rest.len()));
                    writing.write_all(piece).await.expect("sent");
                    rest = later;
                    if pauses > 0 && random.below(3) > 0 {
                        pauses -= 1;
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                writing
            });
            for (number, expected) in answers.iter().enumerate() {
                let answer = answer(&mut reading).await;
                assert_eq!(answer.as_ref(), Some(expected), "answer {number}, seed {seed}");
            }
            assert_eq!(answer(&mut reading).await, None, "nothing more, seed {seed}");
            drop(write.await);
        });
    }
    while let Some(run) = runs.join_next().await {
        run.expect("a run");
    }
    served.until(|counts| &counts.open, 0).await;
    served.end().await;
}
