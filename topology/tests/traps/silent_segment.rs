//! docs/fluvio.md 22: a chain that returns nothing for a whole segment makes the stream jump to the end of the log.

use std::time::Duration;

use futures_util::StreamExt;
use ovation_topology::{Engine, EngineOptions, Topology, apply};
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, on_each, plain, segmented};
use crate::modules::{ad_hoc, pass_from_200};
use crate::naive::{Line, PATIENCE, SILENCE, batch, consume, producer, reading};
use crate::support::{eventually, final_words, modules, start};

const RECORDS: usize = 300;

/// Single records over a dozen segments.
async fn filled(ground: &mut Ground) -> String {
    let lines = ground.create("lines", segmented(plain(), 2_048)).await;
    let producer = producer(&ground.words.cluster, &lines, PATIENCE).await;
    for _ in 0..RECORDS {
        producer.send_batch(batch(1, "one two")).await.unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_filter_that_is_silent_at_first_is_never_heard() {
    on_each(
        "silent",
        |config| config.quirks.silent_jump = true,
        async |ground| {
            let lines = filled(ground).await;
            let client = Line::default().connect(&ground.words.cluster).await;
            let mut stream =
                consume(&client, reading(&lines, 0).smartmodule(vec![ad_hoc(&pass_from_200())])).await;
            let mut heard = 0;
            while let Ok(Some(record)) = tokio::time::timeout(SILENCE, stream.next()).await {
                record.unwrap();
                heard += 1;
            }
            println!("silent segment, real {}: {heard} of {} records", ground.is_real(), RECORDS - 200);
            assert_eq!(heard, 0, "without an error");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_stage_answers_every_call() {
    on_each(
        "silent-engine",
        |config| config.quirks.silent_jump = true,
        async |ground| {
            filled(ground).await;
            let words = &ground.words;
            // Nothing to say until the windows close.
            let text = words.topology().replace("emit: { every: 50ms }", "emit: close");
            let (engine, shutdown) = start(words, &text).await;
            let all = 2 * RECORDS as u64;
            eventually("all words are in final windows", || async { final_words(words).await >= all }).await;
            assert_eq!(final_words(words).await, all);
            assert_eq!(engine.status()[0].restarts, 0);
            shutdown.cancel();
            engine.join().await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_jump_is_noticed() {
    on_each(
        "silent-jump",
        |config| config.quirks.silent_jump = true,
        async |ground| {
            filled(ground).await;
            let words = &ground.words;
            // A module in front of the stage that takes records away behind its back, as a jump does.
            let text = words
                .topology()
                .replace("      - uses: count\n", "      - uses: silent\n      - uses: count\n")
                .replace("stages:\n", "  silent: { builtin: silent }\nstages:\n");
            let known = |name: &str| match name {
                "silent" => Some(pass_from_200().into()),
                name => modules(name),
            };
            let topology = Topology::parse("words.yaml", &text).unwrap();
            apply(&words.cluster, &topology, &known).await.unwrap();
            let shutdown = CancellationToken::new();
            let options = EngineOptions::default();
            let engine =
                Engine::start(words.cluster.clone(), &topology, &known, &options, shutdown.clone()).unwrap();
            assert!(!engine.wait_ready(Duration::from_secs(3)).await || engine.status()[0].restarts > 0);
            eventually("the engine says what was skipped", || async {
                engine.status()[0].error.as_ref().is_some_and(|error| error.contains("was skipped"))
            })
            .await;
            assert_eq!(final_words(words).await, 0, "no wrong result is stored");
            shutdown.cancel();
            engine.join().await;
        },
    )
    .await;
}
