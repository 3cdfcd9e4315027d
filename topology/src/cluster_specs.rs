//! Things as a cluster is told of them.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::Compression;
use flate2::bufread::{GzDecoder, GzEncoder};
use ovation_client::fluvio::metadata::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use ovation_client::fluvio::metadata::tableformat::{DataFormat, TableFormatColumnConfig, TableFormatSpec};
use ovation_client::fluvio::metadata::topic::{
    Bounds, CleanupPolicy, Deduplication, Filter, SegmentBasedPolicy, TopicSpec, TopicStorageConfig,
    Transform as DeduplicationTransform,
};

use crate::modules::FENCE;
use crate::spec::{TableFormat, Topic};

/// Records that a fence reads back when it is loaded: the last one is what it needs, and more is what Fluvio does not do
/// right (docs/fluvio.md 21).
const FENCE_LOOK_BACK: u64 = 2;
/// Bounds of a segment's size, where the topology bounds the partition's. A segment is the unit of retention, so it has
/// to be a part of the partition.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

pub(crate) fn module_spec(wasm: &[u8]) -> SmartModuleSpec {
    SmartModuleSpec { wasm: SmartModuleWasm::from_compressed_gzip(gzip(wasm)), ..Default::default() }
}

pub(crate) fn topic_spec(topic: &Topic) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(topic.partitions, 1, None);
    if let Some(time) = topic.retention.time {
        let time_in_seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds }));
    }
    if let Some(size) = topic.retention.size {
        let segment = (size / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).min(size);
        spec.set_storage(TopicStorageConfig {
            segment_size: u32::try_from(segment).ok(),
            max_partition_size: Some(size),
        });
    }
    if topic.fence {
        spec.set_deduplication(Some(Deduplication {
            bounds: Bounds { count: FENCE_LOOK_BACK, age: None },
            filter: Filter {
                transform: DeduplicationTransform { uses: FENCE.to_owned(), with: BTreeMap::new() },
            },
        }));
    }
    spec
}

pub(crate) fn table_format_spec(format: &TableFormat) -> TableFormatSpec {
    let columns = format.columns.iter().map(|column| TableFormatColumnConfig {
        header_label: column.header.clone(),
        key_path: column.key.clone(),
        primary_key: column.primary.then_some(true),
        ..Default::default()
    });
    TableFormatSpec {
        name: format.name.clone(),
        input_format: Some(DataFormat::JSON),
        columns: Some(columns.collect()),
        smartmodule: None,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = Vec::with_capacity(bytes.len() / 2);
    GzEncoder::new(bytes, Compression::default())
        .read_to_end(&mut zipped)
        .expect("memory can be read and written");
    zipped
}

/// Unpacked bytes, one more than `expected` at most; nothing where they are not gzip.
pub(crate) fn gunzip(bytes: &[u8], expected: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    match GzDecoder::new(bytes).take(expected as u64 + 1).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => Vec::new(),
    }
}
