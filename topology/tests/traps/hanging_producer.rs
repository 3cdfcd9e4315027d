//! docs/fluvio.md 27: the stock producer waits for ever for a broker that takes its records and says nothing.

use std::process::Stdio;
use std::time::{Duration, Instant};

use fluvio::{RecordKey, TopicProducerConfigBuilder};
use ovation_client::{Cluster, ProduceError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::ground::{Ground, on_each, plain};
use crate::naive::{Line, PATIENCE, SILENCE, producer};
use crate::support::{eventually, final_words, source, start};

/// Requests that a connection answers before it hangs.
const ANSWERED: u32 = 2;
/// More than the stock producer keeps.
const SENDS: usize = 300;

fn hanging(config: &mut ovation_broker::Config) {
    config.quirks.hang_after_produces = Some(ANSWERED);
}

/// The embedded broker's connections hang by themselves; the real broker is made to.
fn hang(ground: &Ground, hangs: bool) {
    ground.pause(hangs);
}

/// Names the broker and the topic to the process that is nothing but a stock producer.
const STOCK_ENDPOINT: &str = "OVATION_TRAP_ENDPOINT";
const STOCK_TOPIC: &str = "OVATION_TRAP_TOPIC";
/// What it says after the records that are acknowledged, after each send that came back, and at its end.
const ACKNOWLEDGED: &str = "stock: acknowledged";
const CAME_BACK: &str = "stock: a send came back";
const FLUSHED: &str = "stock: flushed";

#[tokio::test(flavor = "multi_thread")]
async fn trap_the_stock_producer_waits_for_ever() {
    on_each("hanging", hanging, async |ground| {
        if !ground.may_end() {
            return;
        }
        let lines = ground.create("lines", plain()).await;
        // A process of its own: once its queue is full, a send spins and never yields, so that no time-out around it is
        // heard and its thread never ends.
        let mut stock = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "hanging_producer::stock_producer_in_a_process_of_its_own",
            ])
            .env(STOCK_ENDPOINT, ground.words.cluster.endpoint())
            .env(STOCK_TOPIC, &lines)
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(stock.stdout.take().unwrap()).lines();
        let mut next =
            async |patience| tokio::time::timeout(patience, said.next_line()).await.map(Result::unwrap);
        while !next(PATIENCE).await.expect("it starts").expect("it lives").contains(ACKNOWLEDGED) {}
        hang(ground, true);
        stock.stdin.take().unwrap().write_all(b"go\n").await.unwrap();
        let (mut sent, mut flushed) = (0, false);
        while let Ok(line) = next(SILENCE).await {
            let line = line.expect("it does not end");
            sent += usize::from(line.contains(CAME_BACK));
            flushed |= line.contains(FLUSHED);
        }
        hang(ground, false);
        println!("hanging, real {}: {sent} of {SENDS} sends came back, flushed: {flushed}", ground.is_real());
        assert!(sent > 0 && sent < SENDS, "send does not come back after {sent}");
        assert!(!flushed);
        stock.kill().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of the test of the stock producer, which runs it"]
async fn stock_producer_in_a_process_of_its_own() {
    let (Ok(endpoint), Ok(topic)) = (std::env::var(STOCK_ENDPOINT), std::env::var(STOCK_TOPIC)) else {
        return;
    };
    let client = Line::default().connect(&Cluster::new(endpoint)).await;
    let config = TopicProducerConfigBuilder::default().batch_size(64).build().unwrap();
    let stock = client.topic_producer_with_config(topic, config).await.unwrap();
    for _ in 0..ANSWERED {
        stock.send(RecordKey::NULL, "word").await.unwrap().wait().await.unwrap();
    }
    println!("{ACKNOWLEDGED}");
    std::io::stdin().lines().next().unwrap().unwrap();
    for _ in 0..SENDS {
        stock.send(RecordKey::NULL, "a value that fills a batch of its own").await.unwrap();
        println!("{CAME_BACK}");
    }
    stock.flush().await.unwrap();
    println!("{FLUSHED}");
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_send_ends_within_its_deadline_and_the_next_one_works() {
    on_each("hanging-send", hanging, async |ground| {
        if !ground.may_end() {
            return;
        }
        const DEADLINE: Duration = Duration::from_secs(1);
        let lines = ground.create("lines", plain()).await;
        let ours = producer(&ground.words.cluster, &lines, DEADLINE).await;
        for _ in 0..ANSWERED {
            ours.send(None, b"word".to_vec()).await.unwrap();
        }
        hang(ground, true);
        let since = Instant::now();
        let unanswered = ours.send(None, b"word".to_vec()).await;
        let took = since.elapsed();
        hang(ground, false);
        assert!(matches!(unanswered, Err(ProduceError::Deadline { .. })), "{unanswered:?}");
        assert!(took < DEADLINE * 2, "{took:?}");
        ours.ready(PATIENCE).await.unwrap();
        ours.send(None, b"word".to_vec()).await.unwrap();
        let held = ovation_client::bounds(&ground.words.cluster, &lines, 0).await.unwrap();
        assert!((3..=4).contains(&held.end), "the unanswered one may be stored: {held:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_broker_that_is_gone_is_told_at_once() {
    on_each(
        "hanging-gone",
        |_| (),
        async |ground| {
            if !ground.may_end() {
                return;
            }
            let lines = ground.create("lines", plain()).await;
            let ours = producer(&ground.words.cluster, &lines, PATIENCE).await;
            ours.send(None, b"word".to_vec()).await.unwrap();
            ground.stop().await;
            let since = Instant::now();
            let mut refused = 0;
            while since.elapsed() < SILENCE && refused < 150 {
                refused += u32::from(ours.send(None, b"word".to_vec()).await.is_err());
            }
            ground.start_again().await;
            assert_eq!(refused, 150, "150 sends fail within {SILENCE:?}");
            ours.ready(PATIENCE).await.unwrap();
            ours.send(None, b"word".to_vec()).await.unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_the_engine_stores_each_result_once() {
    // Every connection of the engine's hangs sooner or later, having stored what it does not acknowledge.
    let quirk = |config: &mut ovation_broker::Config| config.quirks.hang_after_produces = Some(12);
    on_each("hanging-engine", quirk, async |ground| {
        if !ground.may_end() {
            return;
        }
        let words = &ground.words;
        let (engine, shutdown) = start(words, &words.topology()).await;
        assert!(engine.wait_ready(PATIENCE).await);
        let mut said = 0;
        for round in 0..10 {
            if round == 5 && ground.is_real() {
                ground.pause(true);
                tokio::time::sleep(Duration::from_secs(6)).await;
                ground.pause(false);
            }
            let lines = source(words).await;
            lines.send(Some(b"key".to_vec()), b"tick tock".to_vec()).await.unwrap();
            said += 2;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eventually("all words are in final windows", || async { final_words(words).await >= said }).await;
        assert_eq!(final_words(words).await, said);
        shutdown.cancel();
        engine.join().await;
    })
    .await;
}
