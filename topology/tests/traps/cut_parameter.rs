//! docs/fluvio.md 15: the length of a SmartModule's parameter has 15 bits. The client cuts a longer one's, the broker cannot
//! read the request, and the stream ends.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use ovation_client::{ChainModule, ChainStream, Error, read_tail};

use crate::ground::{on_each, plain};
use crate::modules::{ad_hoc, running_total};
use crate::naive::{Line, PATIENCE, batch, consume, producer, reading};
use crate::support::{eventually, final_words, source, start};

const FITS: usize = 32_767;

#[tokio::test(flavor = "multi_thread")]
async fn trap_a_long_parameter_ends_the_stream_without_a_word() {
    on_each(
        "parameter",
        |_| (),
        async |ground| {
            let lines = ground.create("lines", plain()).await;
            let cluster = &ground.words.cluster;
            producer(cluster, &lines, PATIENCE).await.send_batch(batch(3, "word")).await.unwrap();
            for (bytes, fits) in [(FITS, true), (FITS + 1, false)] {
                let client = Line::default().connect(cluster).await;
                let mut module = ad_hoc(&running_total(0));
                module.params.insert("long".to_owned(), "x".repeat(bytes));
                let mut stream = consume(&client, reading(&lines, 0).smartmodule(vec![module])).await;
                let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
                let said = next.map(|next| next.map(|_| "a record"));
                println!("parameter, real {}: {bytes} bytes: {said:?}", ground.is_real());
                assert_eq!(said, fits.then_some(Ok("a record")));
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_parameter_that_would_be_cut_is_refused_by_name() {
    on_each(
        "parameter-refused",
        |_| (),
        async |ground| {
            let lines = ground.create("lines", plain()).await;
            let name = ground.upload("total", &running_total(0)).await;
            let cluster = &ground.words.cluster;
            producer(cluster, &lines, PATIENCE).await.send_batch(batch(3, "word")).await.unwrap();
            let opened = async |bytes: usize| {
                let params = BTreeMap::from([("long".to_owned(), "x".repeat(bytes))]);
                let modules = [ChainModule { name: name.clone(), params }];
                ChainStream::open(cluster, &lines, 0, 0, &modules).await
            };
            let mut stream = opened(FITS).await.unwrap();
            assert_eq!(tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().len(), 1);
            let Err(Error::Refused { reason, .. }) = opened(FITS + 1).await else { panic!("it is refused") };
            assert!(reason.contains("\"long\"") && reason.contains("32768 bytes"), "{reason}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defence_a_large_state_is_restored_in_pieces() {
    on_each(
        "pieces",
        |_| (),
        async |ground| {
            let words = &ground.words;
            let text = words.topology().replace("size: 1s", "size: 3s");
            let (engine, shutdown) = start(words, &text).await;
            assert!(engine.wait_ready(PATIENCE).await);
            let lines = source(words).await;
            // Many keys with open windows: state of a few parameters' length.
            let pair = |n: usize| {
                (Some(format!("a-key-like-any-other-{}", n % 500).into_bytes()), b"one two".to_vec())
            };
            for batch in 0..21 {
                lines.send_batch((0..5_000).map(|n| pair(batch * 5_000 + n)).collect()).await.unwrap();
            }
            eventually("a checkpoint is stored", || async {
                engine.status()[0].checkpoint.is_some_and(|at| at > 0)
            })
            .await;
            shutdown.cancel();
            engine.join().await;
            let checkpoint = engine.status()[0].checkpoint.unwrap();
            let pieces = read_tail(&words.cluster, &words.topic("checkpoints"), 0, 1_000).await.unwrap();
            let pieces = pieces.iter().filter(|record| {
                let piece: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
                piece["offset"] == checkpoint && piece["data"].as_str().unwrap().len() <= 30_000
            });
            let count = pieces.count();
            println!("pieces, real {}: {count}", ground.is_real());
            assert!(count > 1, "{count}");

            let (engine, shutdown) = start(words, &text).await;
            assert!(engine.wait_ready(PATIENCE).await);
            assert!(engine.status()[0].checkpoint >= Some(checkpoint), "not from the start");
            eventually("all words are in final windows", || async { final_words(words).await >= 210_000 })
                .await;
            assert_eq!(final_words(words).await, 210_000);
            shutdown.cancel();
            engine.join().await;
        },
    )
    .await;
}
