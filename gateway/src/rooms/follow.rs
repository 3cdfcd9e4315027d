//! Follow: reads the topic with the rooms' own settings from the beginning, for ever.

use std::sync::Arc;

use futures_util::StreamExt as _;
use ovation_client::{Cluster, Error, FollowOptions, From, Producer, ProducerOptions, Record};
use ovation_reaction::room_is_valid;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::record::Own;
use super::standing::Phase;
use super::{RoomSettings, Rooms};
use crate::follow::patience::Patience;

/// Partitions of the topic: one log, so that there is one order, and one end to read to.
const PARTITIONS: u32 = 1;

/// Changes on their way to the broker at a time: admins are few.
const CHANGES_IN_FLIGHT_MAX: usize = 64;

/// The reader.
pub(crate) struct Follower {
    reader: JoinHandle<()>,
    end: CancellationToken,
}

impl Follower {
    /// Starts to follow the topic, if there is one; looks for it until it is there.
    pub(crate) fn start(cluster: Cluster, rooms: &Rooms, settings: Arc<RoomSettings>) -> Self {
        let end = CancellationToken::new();
        let (topic, ended) = (rooms.topic.clone(), end.clone());
        let reader = tokio::spawn(async move {
            if let Some(topic) = topic {
                ended.run_until_cancelled(follow(cluster, topic, settings)).await;
            }
        });
        Self { reader, end }
    }

    /// Ends the reader.
    pub(crate) async fn stop(self) {
        self.end.cancel();
        if let Err(error) = self.reader.await {
            tracing::error!(%error, "failed to follow the rooms' settings");
        }
    }
}

async fn follow(cluster: Cluster, topic: String, settings: Arc<RoomSettings>) {
    find(&cluster, &topic, &settings).await;
    settings.standing.enter(Phase::Reading);
    settings.producer.get_or_init(|| {
        let options = ProducerOptions { in_flight: CHANGES_IN_FLIGHT_MAX, ..ProducerOptions::default() };
        Producer::open(cluster.clone(), &topic, options)
    });
    loop {
        read(&cluster, &topic, &settings).await;
        tracing::warn!(topic, "the topic was made anew, starting over");
        settings.standing.enter(Phase::Reading);
        settings.forget();
    }
}

/// Returns when the topic is there. While it is not, the file alone counts.
async fn find(cluster: &Cluster, topic: &str, settings: &RoomSettings) {
    let mut patience = Patience::default();
    loop {
        match cluster.partitions(topic).await {
            Ok(Some(PARTITIONS)) => return,
            Ok(Some(partitions)) => settings.standing.trouble(format!(
                "topic {topic} has {partitions} partitions; make it anew with {PARTITIONS}, or name another with --rooms-topic"
            )),
            Ok(None) => {
                if settings.standing.phase() != Phase::Absent {
                    tracing::info!(topic, "there is no topic for rooms' settings: they come from the file alone");
                }
                settings.standing.enter(Phase::Absent);
            }
            Err(error) => settings.standing.trouble(error.to_string()),
        }
        patience.wait().await;
    }
}

/// Reads from the beginning, and goes on until the log turns out to be another one.
async fn read(cluster: &Cluster, topic: &str, settings: &RoomSettings) {
    let mut patience = Patience::default();
    let held = loop {
        match ovation_client::bounds(cluster, topic, 0).await {
            Ok(held) => break held,
            Err(error) => settings.standing.trouble(error.to_string()),
        }
        patience.wait().await;
    };
    if held.is_empty() {
        settings.applied(held.end);
        settings.standing.enter(Phase::Read);
    }
    let options = FollowOptions::default();
    let mut records =
        std::pin::pin!(ovation_client::follow(cluster.clone(), topic, 0, From::Beginning, options));
    while let Some(record) = records.next().await {
        match record {
            Ok(record) => {
                let next = record.offset + 1;
                take(topic, &record, settings);
                settings.applied(next);
                if next < held.end {
                    continue;
                }
                if settings.standing.phase() == Phase::Read {
                    settings.standing.mended();
                } else {
                    settings.standing.enter(Phase::Read);
                }
            }
            // The log ends before the place where it was read to: it is another log.
            Err(Error::Beyond { .. }) => return,
            // The follower goes on by itself.
            Err(error) => {
                tracing::warn!(%error, "the rooms' settings were interrupted");
                settings.standing.trouble(error.to_string());
            }
        }
    }
}

fn take(topic: &str, record: &Record, settings: &RoomSettings) {
    let room = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let Some(room) = room.filter(|room| room_is_valid(room)) else {
        tracing::warn!(topic, offset = record.offset, "failed to read room settings: the key is no room");
        return;
    };
    match Own::read(&record.value) {
        Ok(own) => settings.apply(room, own, record.offset),
        Err(reason) => {
            tracing::warn!(topic, offset = record.offset, room, "failed to read room settings: {reason}");
        }
    }
}
