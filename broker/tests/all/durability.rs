//! What survives: restarts, kill -9, damaged files, retention; and what a start refuses.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::*;
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::topic::{CleanupPolicy, SegmentBasedPolicy};
use fluvio::{Offset, RecordKey};
use ovation_broker::{Broker, Config, Error};

/// The broker in a process of its own: this test program, told to serve.
struct Process {
    child: Child,
    control: String,
}

impl Process {
    fn start(data: &std::path::Path, fsync: bool) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durability::serve_when_told", "--nocapture", "--test-threads=1"])
            .env("OVATION_TEST_SERVE", data)
            .env("OVATION_TEST_FSYNC", fsync.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let control = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("serving on ").map(|(_, address)| address.to_owned()))
            .unwrap();
        Process { child, control }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test: the body of [`Process`].
#[tokio::test(flavor = "multi_thread")]
async fn serve_when_told() {
    let Some(data) = std::env::var_os("OVATION_TEST_SERVE") else { return };
    let mut config = Config::new(data);
    config.fsync = std::env::var("OVATION_TEST_FSYNC").is_ok_and(|value| value == "true");
    let broker = Broker::start(config).await.unwrap();
    eprintln!("serving");
    {
        use std::io::Write;
        writeln!(std::io::stdout(), "serving on {}", broker.control_addr()).unwrap();
    }
    // Until killed, or until the test that started this is gone.
    tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_survive_kill_9() {
    for fsync in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = Vec::new();
        for round in 0..3 {
            let mut process = Process::start(dir.path(), fsync);
            let client = connect(&process.control).await;
            if round == 0 {
                create_topic(&client, "events", 1).await;
            }
            let producer = client.topic_producer("events").await.unwrap();
            let mut outputs = Vec::new();
            for number in 0..300 {
                let value = format!("{round} {number}");
                outputs.push((value.clone(), producer.send(RecordKey::NULL, value).await.unwrap()));
            }
            // Killed with some of them under way.
            for (value, output) in outputs.into_iter().take(200) {
                acknowledged.push((output.wait().await.unwrap().offset(), value));
            }
            process.child.kill().unwrap();
            process.child.wait().unwrap();
        }
        let process = Process::start(dir.path(), fsync);
        let records = all(&connect(&process.control).await, "events").await;
        for (offset, value) in acknowledged {
            assert_eq!(text(&records[offset as usize]), value);
        }
        assert!(records.iter().enumerate().all(|(index, record)| record.offset() == index as i64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_records_over_segments() {
    let mut fixture = start().await;
    let client = fixture.client().await;
    create(&client, "events", segmented(2048)).await;
    send_each(&client, "events", numbered(0..200)).await;
    fixture.restart().await;
    let client = fixture.client().await;
    assert_eq!(send_each(&client, "events", numbered(200..201)).await, [200]);
    assert_eq!(texts(&all(&client, "events").await), numbered(0..201).collect::<Vec<_>>());
    let mut stream =
        open(&client, reading("events", 0, Offset::absolute(77).unwrap()).build().unwrap()).await;
    assert_eq!(texts(&take(&mut stream, 3).await), numbered(77..80).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_segments_go_by_size_and_by_time() {
    let fixture = start_with(|config| config.limits.retention_interval = Duration::from_millis(50)).await;
    let client = fixture.client().await;
    let mut sized = segmented(2048);
    sized.get_storage_mut().unwrap().max_partition_size = Some(8192);
    create(&client, "sized", sized).await;
    let mut timed = segmented(2048);
    timed.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: 10 }));
    create(&client, "timed", timed).await;
    for topic in ["sized", "timed"] {
        send_each(&client, topic, numbered(0..200)).await;
    }
    // As if time had passed.
    let old = std::time::SystemTime::now() - Duration::from_secs(60);
    let dir = fixture.config.data.join("topics/timed/0");
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files[..3] {
        std::fs::File::open(file).unwrap().set_modified(old).unwrap();
    }
    let first = async |topic: &str| {
        let partitions = client.admin().await.all::<PartitionSpec>().await.unwrap();
        let name = format!("{topic}-0");
        partitions.into_iter().find(|partition| partition.name == name).unwrap().status.base_offset
    };
    let wait = async {
        while first("sized").await == 0
            || first("timed").await == 0
            || files[..3].iter().any(|file| file.exists())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    assert!(files[3].exists());
    let size: u64 = std::fs::read_dir(fixture.config.data.join("topics/sized/0"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size <= 8192 + 2048, "{size}");
    for topic in ["sized", "timed"] {
        let records = all(&client, topic).await;
        assert_eq!(
            (records[0].offset(), records.len() as i64),
            (first(topic).await, 200 - first(topic).await)
        );
    }
    // Reading what is gone is refused, with the offset to go on from.
    let mut stream = open(&client, reading("timed", 0, Offset::absolute(0).unwrap()).build().unwrap()).await;
    let next = tokio::time::timeout(PATIENCE, futures_util::StreamExt::next(&mut stream)).await.unwrap();
    assert!(next.is_none_or(|result| result.is_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_says_why() {
    let fixture = start().await;
    let locked = Broker::start(Config::new(&fixture.config.data)).await.err().unwrap();
    assert!(matches!(locked, Error::DataLocked { .. }), "{locked}");

    let other = tempfile::tempdir().unwrap();
    let mut config = Config::new(other.path());
    config.control = fixture.broker().control_addr();
    let taken = Broker::start(config).await.err().unwrap().to_string();
    assert_eq!(taken, format!("{} is in use by another program", fixture.broker().control_addr()));

    let mut config = Config::new(other.path());
    config.spu = "0.0.0.0:0".parse().unwrap();
    let unknown = Broker::start(config.clone()).await.err().unwrap();
    assert!(matches!(unknown, Error::NothingToAdvertise { .. }), "{unknown}");
    config.advertise = Some("127.0.0.1".to_owned());
    let broker = Broker::start(config).await.unwrap();
    let client = connect(&broker.control_addr().to_string()).await;
    create_topic(&client, "events", 1).await;
    assert_eq!(send_each(&client, "events", numbered(0..1)).await, [0]);
    drop(client);
    broker.shutdown().await;

    std::fs::write(other.path().join("metadata.json"), "{").unwrap();
    let damaged = Broker::start(Config::new(other.path())).await.err().unwrap();
    assert!(matches!(damaged, Error::Corrupt { .. }), "{damaged}");

    let file = other.path().join("file");
    std::fs::write(&file, "").unwrap();
    let not_writable = Broker::start(Config::new(&file)).await.err().unwrap();
    assert!(matches!(not_writable, Error::DataNotWritable { .. }), "{not_writable}");
}
