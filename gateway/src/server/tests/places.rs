//! How many connections there may be, and who has to go when there are too many.

use super::*;

fn nobody_is_exempt(config: &mut Config) {
    config.network.exempt.clear();
    config.connections.per_address_max = 2;
}

#[tokio::test]
async fn an_address_has_its_places_and_no_more() {
    let served = Served::start(nobody_is_exempt).await;
    let mut first = served.connect_from("127.0.0.2").await;
    let mut second = served.connect_from("127.0.0.2").await;
    for stream in [&mut first, &mut second] {
        assert_eq!(ask(stream, "/peer").await, "127.0.0.2");
    }
    assert!(is_closed(&mut served.connect_from("127.0.0.2").await).await);
    served.until(|counts| &counts.refused_per_address, 1).await;
    let mut other = served.connect_from("127.0.0.3").await;
    assert_eq!(ask(&mut other, "/peer").await, "127.0.0.3");
    drop(first);
    served.until(|counts| &counts.open, 2).await;
    let mut again = served.connect_from("127.0.0.2").await;
    assert_eq!(ask(&mut again, "/peer").await, "127.0.0.2");
    served.end().await;
}

#[tokio::test]
async fn proxies_and_exempt_networks_have_all_the_places() {
    let served = Served::start(|config| {
        nobody_is_exempt(config);
        config.network.exempt.push("127.0.0.2/32".parse().expect("a network"));
        config.network.trusted_proxies.push("127.0.0.3/32".parse().expect("a network"));
    })
    .await;
    let mut streams = Vec::new();
    for address in ["127.0.0.2", "127.0.0.3"].repeat(4) {
        let mut stream = served.connect_from(address).await;
        assert_eq!(ask(&mut stream, "/peer").await, address);
        streams.push(stream);
    }
    assert_eq!(served.counts.refused_per_address.load(Ordering::Relaxed), 0);
    served.end().await;
}

#[tokio::test]
async fn the_connection_idle_longest_makes_room() {
    let served = Served::start(|config| config.connections.max = 3).await;
    let (mut first, mut second) = (served.known().await, served.known().await);
    served.parked(2).await;
    let mut busy = served.connect().await;
    send(&mut busy, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    served.until(|counts| &counts.open, 3).await;
    // The first is idle for a shorter time than the second from here on.
    assert_eq!(ask(&mut first, "/peer").await, "127.0.0.1");
    served.parked(2).await;
    let mut new = served.connect().await;
    assert_eq!(ask(&mut new, "/peer").await, "127.0.0.1");
    served.until(|counts| &counts.closed_under_pressure, 1).await;
    assert!(is_closed(&mut second).await);
    assert_eq!(ask(&mut first, "/peer").await, "127.0.0.1");
    drop(busy);
    served.end().await;
}

#[tokio::test]
async fn silent_connections_and_slow_heads_keep_nobody_out() {
    for begin in ["", "P", "GET /peer HT"] {
        let served = Served::start(|config| config.connections.max = 8).await;
        let mut flood = Vec::new();
        for _ in 0..8 {
            let mut stream = served.connect().await;
            send(&mut stream, begin).await;
            flood.push(stream);
        }
        served.until(|counts| &counts.open, 8).await;
        let begun = std::time::Instant::now();
        for _ in 0..8 {
            flood.push(served.known().await);
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "sooner than heads are timed");
        served.until(|counts| &counts.closed_under_pressure, 8).await;
        served.end().await;
    }
}

#[tokio::test]
async fn busy_connections_stay_and_others_wait() {
    let served = Served::start(|config| {
        config.connections.max = 1;
        config.drain = Duration::from_millis(100);
    })
    .await;
    let mut busy = served.connect().await;
    send(&mut busy, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    served.until(|counts| &counts.open, 1).await;
    let mut new = served.connect().await;
    send(&mut new, "GET /peer HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let waited = tokio::time::timeout(Duration::from_millis(1500), answer(&mut new)).await;
    assert!(waited.is_err(), "there is no place");
    drop(busy);
    assert_eq!(answer(&mut new).await.as_deref(), Some("127.0.0.1"));
    assert_eq!(served.counts.closed_under_pressure.load(Ordering::Relaxed), 0);
    served.end().await;
}
