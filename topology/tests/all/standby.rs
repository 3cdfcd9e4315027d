//! Two engines on the same topology: one writes, the other stands by and takes over.

use std::time::{Duration, Instant};

use crate::support::{self, Words, eventually, final_words, results, source, start};
use ovation_client::Producer;
use ovation_topology::{Engine, TaskRole};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A takeover takes two seconds at most on a machine that has nothing else to do.
const GENEROUS: Duration = Duration::from_secs(10);

fn role(engine: &Engine) -> TaskRole {
    engine.status()[0].role
}

fn stored(engine: &Engine) -> u64 {
    engine.status()[0].seq
}

/// Words one after the other, until it is dropped.
fn chatter(producer: Producer) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let _ = producer.send(Some(b"key".to_vec()), b"word".to_vec()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }))
}

/// Waits until exactly one of them stands by.
async fn settled(first: &Engine, second: &Engine) {
    eventually("one engine is active and the other stands by", || async {
        let standing = [first, second].into_iter().filter(|engine| role(engine) == TaskRole::Standby);
        standing.count() == 1
    })
    .await;
}

/// An engine, and what ends it in good order.
type Started = (Engine, CancellationToken);

/// Two engines with their roles settled, the active one first, and a producer for their source.
async fn two(words: &Words) -> ([Started; 2], Producer) {
    let text = words.topology();
    let first = start(words, &text).await;
    let second = start(words, &text).await;
    for (engine, _) in [&first, &second] {
        assert!(engine.wait_ready(support::PATIENCE).await, "{engine:?}");
    }
    let producer = source(words).await;
    let _chatter = chatter(producer.clone());
    settled(&first.0, &second.0).await;
    let both = if role(&first.0) == TaskRole::Active { [first, second] } else { [second, first] };
    (both, producer)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_writes_and_the_other_does_not_keep_colliding() {
    for words in support::each("roles", 1).await {
        let ([(active, active_stop), (standby, standby_stop)], producer) = two(&words).await;
        let chatter = chatter(producer.clone());
        let mut changes = 0;
        let (mut last, since, from) = (role(&active), Instant::now(), stored(&active));
        while since.elapsed() < Duration::from_secs(5) {
            let now = role(&active);
            changes += u32::from(now != last);
            last = now;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(stored(&active) >= from + 20, "results flow");
        assert!(changes <= 2, "{changes} changes of the role in five seconds");
        settled(&active, &standby).await;
        drop(chatter);
        eventually("the standby knows what is stored", || async { stored(&active) == stored(&standby) })
            .await;
        for engine in [&active, &standby] {
            assert!(engine.ready() && engine.status()[0].restarts == 0, "{engine:?}");
        }
        for (engine, stop) in [(active, active_stop), (standby, standby_stop)] {
            stop.cancel();
            engine.join().await;
        }
        results(&words, 0).await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_takes_over_from_an_engine_that_is_gone() {
    for words in support::each("takeover", 1).await {
        let ([(active, _), (standby, stop)], producer) = two(&words).await;
        let chatter = chatter(producer.clone());
        // Without a word: its tasks are aborted wherever they are.
        let since = Instant::now();
        drop(active);
        let before = stored(&standby);
        eventually("the standby has taken over", || async {
            role(&standby) == TaskRole::Active && stored(&standby) > before
        })
        .await;
        eprintln!("took over after {:?}, while results flow", since.elapsed());
        assert!(since.elapsed() < GENEROUS);
        drop(chatter);
        eventually("nothing is open any more", || async { standby.status()[0].open == 0 }).await;
        stop.cancel();
        standby.join().await;
        results(&words, 0).await;
        words.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_takes_over_where_only_finals_are_left_to_be_made() {
    for words in support::each("finals", 1).await {
        let ([(active, _), (standby, stop)], producer) = two(&words).await;
        eventually("nothing is open", || async {
            standby.status()[0].open == 0 && active.status()[0].open == 0
        })
        .await;
        let counted = final_words(&words).await;
        producer.send(Some(b"key".to_vec()), b"last words".to_vec()).await.unwrap();
        eventually("the standby has a window open", || async { standby.status()[0].open == 1 }).await;
        let since = Instant::now();
        drop(active);
        eventually("the window is final", || async { final_words(&words).await == counted + 2 }).await;
        // The window itself takes 1 s, its grace 200 ms and its source's idleness 1 s.
        eprintln!("took over after {:?}, windows and grace included", since.elapsed());
        assert!(since.elapsed() < GENEROUS);
        stop.cancel();
        standby.join().await;
        results(&words, 0).await;
        words.remove().await;
    }
}
