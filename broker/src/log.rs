//! The log of one partition: segments in order, the last one written on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use fluvio_protocol::record::Record;

use crate::batch::{BadBatch, Batch};
use crate::records;
use crate::segment::{AppendError, FRAME_BYTES, HEAD_BYTES, Segment, Visit, put_frame};

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The offset lies before the log's first one.
    #[error("offset {offset} is evicted, the log begins at {start}")]
    Evicted { offset: i64, start: i64 },
    /// The offset lies behind the log's end.
    #[error("offset {offset} is behind the end of the log, {end}")]
    OutOfRange { offset: i64, end: i64 },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Batch(#[from] BadBatch),
    /// A look-back would need more memory than is allowed.
    #[error("the look-back spans more than {0} records")]
    TooManyRecords(usize),
}

/// Why an append failed. In any case nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the batch does not fit into a segment")]
    TooLarge,
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An earlier failure could not be undone.
    #[error("the log takes no more records since a write failed half-way")]
    Broken,
}

/// Sizes and ages a log is kept to.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) segment_bytes: u64,
    /// Segments last written to before this are removed.
    pub(crate) retention: Duration,
    /// The oldest segments are removed while the log is larger.
    pub(crate) bytes_max: u64,
    /// A batch's records, decompressed.
    pub(crate) decompressed_bytes_max: usize,
    pub(crate) look_back_records_max: usize,
}

#[derive(Debug)]
pub(crate) struct Log {
    dir: PathBuf,
    settings: LogSettings,
    /// Never empty. The last one is written on.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// The offset after the last written batch.
    end: AtomicI64,
    broken: AtomicBool,
}

impl Log {
    /// Opens or creates the log in `dir`. Returns how many bytes of a torn tail were cut.
    pub(crate) fn open(dir: &Path, settings: LogSettings) -> io::Result<(Log, u64)> {
        fs::create_dir_all(dir)?;
        let mut bases = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let base: Option<i64> =
                name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|base| base.parse().ok());
            bases.extend(base);
        }
        bases.sort_unstable();
        let Some((&last, sealed)) = bases.split_last() else {
            let segments = vec![Arc::new(Segment::create(dir, 0)?)];
            return Ok((Log::new(dir, settings, segments, 0), 0));
        };
        let mut segments = Vec::with_capacity(bases.len());
        for &base in sealed {
            segments.push(Arc::new(Segment::open_sealed(dir, base)?));
        }
        let (active, recovered) = Segment::open_active(dir, last)?;
        segments.push(Arc::new(active));
        Ok((Log::new(dir, settings, segments, recovered.next), recovered.cut))
    }

    fn new(dir: &Path, settings: LogSettings, segments: Vec<Arc<Segment>>, end: i64) -> Log {
        Log {
            dir: dir.to_owned(),
            settings,
            segments: RwLock::new(segments),
            end: AtomicI64::new(end),
            broken: AtomicBool::new(false),
        }
    }

    /// The first offset still here.
    pub(crate) fn start(&self) -> i64 {
        self.segments().first().map_or(0, |segment| segment.base())
    }

    /// The offset that the next record gets.
    pub(crate) fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    /// Bytes on disk.
    pub(crate) fn size(&self) -> u64 {
        self.segments().iter().map(|segment| segment.len()).sum()
    }

    pub(crate) fn settings(&self) -> &LogSettings {
        &self.settings
    }

    /// Whether each batch fits into a segment at all.
    pub(crate) fn fits(&self, batches: &[Batch]) -> bool {
        let max = self.settings.segment_bytes;
        batches.iter().all(|batch| HEAD_BYTES + (FRAME_BYTES + batch.bytes().len()) as u64 <= max)
    }

    /// Appends batches and gives them their offsets: all of them or none. Only one thread may append at a time.
    pub(crate) fn append(&self, batches: &[Batch]) -> Result<i64, WriteError> {
        if self.broken.load(Ordering::Acquire) {
            return Err(WriteError::Broken);
        }
        if !self.fits(batches) {
            return Err(WriteError::TooLarge);
        }
        let first = self.end();
        let (kept, kept_len) = {
            let segments = self.segments();
            (segments.len(), segments.last().map_or(0, |active| active.len()))
        };
        let result = self.write(batches, first);
        match result {
            Ok(end) => {
                self.end.store(end, Ordering::Release);
                Ok(first)
            }
            Err(error) => {
                if self.undo(kept, kept_len).is_err() || matches!(error, AppendError::Broken(_)) {
                    self.broken.store(true, Ordering::Release);
                }
                let (AppendError::Undone(error) | AppendError::Broken(error)) = error;
                Err(WriteError::Io(error))
            }
        }
    }

    fn write(&self, batches: &[Batch], first: i64) -> Result<i64, AppendError> {
        let mut frames = BytesMut::new();
        let mut marks = Vec::new();
        let mut next = first;
        let mut active = self.active();
        for batch in batches {
            let frame = (FRAME_BYTES + batch.bytes().len()) as u64;
            if active.len() + frames.len() as u64 + frame > self.settings.segment_bytes {
                active.append(&frames, &marks)?;
                frames.clear();
                marks.clear();
                active = self.roll(next).map_err(AppendError::Undone)?;
            }
            marks.push((next, frames.len() as u64));
            put_frame(batch, next, &mut frames);
            next += i64::from(batch.last_delta()) + 1;
        }
        active.append(&frames, &marks)?;
        Ok(next)
    }

    /// Begins a new segment. The old one is on disk for good before that: only the last segment can ever be torn.
    fn roll(&self, base: i64) -> io::Result<Arc<Segment>> {
        self.active().sync()?;
        let segment = Arc::new(Segment::create(&self.dir, base)?);
        self.segments_mut().push(segment.clone());
        Ok(segment)
    }

    fn undo(&self, kept: usize, kept_len: u64) -> io::Result<()> {
        let mut segments = self.segments_mut();
        while segments.len() > kept {
            if let Some(segment) = segments.pop() {
                segment.remove()?;
            }
        }
        segments.last().map_or(Ok(()), |active| active.truncate(kept_len))
    }

    /// Puts everything appended so far on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.active().sync()
    }

    /// Whole batches from the one that holds `from`, up to `end`: as many as stay within `bytes_max`, and at least one.
    /// None where there is none yet.
    pub(crate) fn read(&self, from: i64, end: i64, bytes_max: usize) -> Result<Vec<Batch>, ReadError> {
        let mut out = Vec::new();
        let mut bytes = 0;
        for segment in self.segments_from(from, end)? {
            let mut full = false;
            segment.visit(from, |batch| {
                if batch.base_offset() >= end || (!out.is_empty() && bytes + batch.bytes().len() > bytes_max)
                {
                    full = true;
                    return Visit::Stop;
                }
                bytes += batch.bytes().len();
                out.push(batch);
                if bytes >= bytes_max {
                    full = true;
                    return Visit::Stop;
                }
                Visit::Go
            })?;
            if full {
                break;
            }
        }
        Ok(out)
    }

    /// The end of the segment that holds `from`, or of the log.
    pub(crate) fn segment_end(&self, from: i64) -> i64 {
        self.segments()
            .iter()
            .map(|segment| segment.base())
            .find(|base| *base > from)
            .unwrap_or_else(|| self.end())
    }

    /// The last `count` records before `end`, those not older than `since` (ms since 1970) only.
    pub(crate) fn last_records(
        &self,
        count: u64,
        since: Option<i64>,
        end: i64,
    ) -> Result<Vec<Record>, ReadError> {
        let start = self.start();
        let from = end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX)).clamp(start, end);
        self.records_between(from, since, end)
    }

    /// All records before `end` that are not older than `since` (ms since 1970), looking back from the end until a
    /// whole batch is older.
    pub(crate) fn records_since(&self, since: i64, end: i64) -> Result<Vec<Record>, ReadError> {
        let mut from = end;
        'segments: for segment in self.segments().iter().rev() {
            let mut heads = Vec::new();
            segment.visit(segment.base(), |batch| {
                if batch.base_offset() < end {
                    heads.push((batch.base_offset(), batch.max_timestamp()));
                }
                Visit::Go
            })?;
            for (base, newest) in heads.into_iter().rev() {
                if newest < since {
                    break 'segments;
                }
                from = base;
            }
        }
        self.records_between(from, Some(since), end)
    }

    /// Records of offsets `from..end`, not older than `since`.
    pub(crate) fn records_between(
        &self,
        from: i64,
        since: Option<i64>,
        end: i64,
    ) -> Result<Vec<Record>, ReadError> {
        let mut out = Vec::new();
        let mut at = from;
        while at < end {
            let batches = self.read(at, end, 1 << 20)?;
            let Some(last) = batches.last() else { break };
            at = last.next_offset();
            for batch in &batches {
                let plain = batch.plain_records(self.settings.decompressed_bytes_max)?;
                for view in records::parse(&plain).map_err(BadBatch::from)? {
                    let old =
                        since.is_some_and(|since| batch.first_timestamp() + view.timestamp_delta < since);
                    if batch.base_offset() + view.offset_delta < from || old {
                        continue;
                    }
                    if out.len() == self.settings.look_back_records_max {
                        return Err(ReadError::TooManyRecords(self.settings.look_back_records_max));
                    }
                    out.push(view.to_record());
                }
            }
        }
        Ok(out)
    }

    /// Removes whole segments, never the last one, that are too old or too many. Returns how many.
    pub(crate) fn retain(&self, now: SystemTime) -> io::Result<usize> {
        let mut removed = 0;
        loop {
            let oldest = {
                let segments = self.segments();
                if segments.len() < 2 { None } else { segments.first().cloned() }
            };
            let Some(oldest) = oldest else { return Ok(removed) };
            let age = now.duration_since(oldest.last_write()?).unwrap_or_default();
            if age <= self.settings.retention && self.size() <= self.settings.bytes_max {
                return Ok(removed);
            }
            // Out of the list first: whoever reads it now keeps the open file.
            self.segments_mut().remove(0);
            oldest.remove()?;
            removed += 1;
        }
    }

    fn segments_from(&self, from: i64, end: i64) -> Result<Vec<Arc<Segment>>, ReadError> {
        let segments = self.segments();
        let start = segments.first().map_or(0, |segment| segment.base());
        if from < start {
            return Err(ReadError::Evicted { offset: from, start });
        }
        if from > end {
            return Err(ReadError::OutOfRange { offset: from, end });
        }
        let after = segments.partition_point(|segment| segment.base() <= from);
        Ok(segments[after.saturating_sub(1)..].to_vec())
    }

    fn active(&self) -> Arc<Segment> {
        self.segments().last().cloned().expect("a log always has a segment")
    }

    fn segments(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments_mut(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Segment>>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Batches as they travel: one after the other.
pub(crate) fn join(batches: &[Batch]) -> Bytes {
    let mut out = BytesMut::with_capacity(batches.iter().map(|batch| batch.bytes().len()).sum());
    for batch in batches {
        out.extend_from_slice(batch.bytes());
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::sample;

    fn settings(segment_bytes: u64) -> LogSettings {
        LogSettings {
            segment_bytes,
            retention: Duration::from_secs(3600),
            bytes_max: u64::MAX,
            decompressed_bytes_max: 1 << 20,
            look_back_records_max: 100,
        }
    }

    fn filled(dir: &Path, segment_bytes: u64) -> Log {
        let (log, _) = Log::open(dir, settings(segment_bytes)).unwrap();
        for number in 0..40 {
            let batch = sample(&[&format!("{number} a"), &format!("{number} b")]);
            assert_eq!(log.append(&[batch]).unwrap(), number * 2);
        }
        log
    }

    /// Values of all records from `from` on, which must be in order and without a gap.
    fn values(log: &Log, from: i64) -> Vec<String> {
        let mut at = from;
        let mut values = Vec::new();
        while at < log.end() {
            for batch in log.read(at, log.end(), 300).unwrap() {
                assert!(batch.base_offset() <= at && at < batch.next_offset());
                at = batch.next_offset();
                let plain = batch.plain_records(1 << 20).unwrap();
                let views = records::parse(&plain).unwrap();
                values.extend(views.iter().map(|view| String::from_utf8_lossy(view.value).into_owned()));
            }
        }
        values
    }

    fn expected(batches: usize) -> Vec<String> {
        (0..batches).flat_map(|number| [format!("{number} a"), format!("{number} b")]).collect()
    }

    #[test]
    fn reads_begin_anywhere_over_segments() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 1000);
        assert!(fs::read_dir(dir.path()).unwrap().count() > 3);
        assert_eq!(values(&log, 0), expected(40));
        for from in 0..80 {
            assert_eq!(values(&log, from), expected(40)[from as usize / 2 * 2..]);
        }
        assert!(matches!(log.read(81, 80, 10), Err(ReadError::OutOfRange { .. })));
        drop(log);
        let (log, cut) = Log::open(dir.path(), settings(1000)).unwrap();
        assert_eq!((log.end(), cut, values(&log, 0)), (80, 0, expected(40)));
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_tears() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), 1 << 20));
        let path = Segment::path_in(dir.path(), 0);
        let whole = fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..len]).unwrap();
            let (log, _) = Log::open(dir.path(), settings(1 << 20)).unwrap();
            let kept = values(&log, 0);
            assert_eq!(kept, expected(kept.len() / 2), "{len}");
            let lost = whole.len() - len;
            assert!(kept.len() / 2 + 1 + lost / 80 >= 40, "{len}: {}", kept.len());
            // And it is written on.
            assert_eq!(log.append(&[sample(&["new"])]).unwrap(), kept.len() as i64);
            assert_eq!(values(&log, 0).last().unwrap(), "new");
        }
    }

    #[test]
    fn a_flipped_byte_never_gives_a_wrong_record() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), 1 << 20));
        let path = Segment::path_in(dir.path(), 0);
        let whole = fs::read(&path).unwrap();
        for at in (HEAD_BYTES as usize..whole.len()).step_by(13) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let (log, cut) = Log::open(dir.path(), settings(1 << 20)).unwrap();
            let kept = values(&log, 0);
            assert_eq!(kept, expected(kept.len() / 2), "{at}");
            assert!(cut > 0, "{at}");
        }
        // In a segment that is no longer written to it is an error, not a silent gap.
        fs::remove_file(&path).unwrap();
        drop(filled(dir.path(), 1000));
        let mut bad = fs::read(&path).unwrap();
        bad[200] ^= 1;
        fs::write(&path, &bad).unwrap();
        let (log, _) = Log::open(dir.path(), settings(1000)).unwrap();
        assert!(matches!(log.read(0, log.end(), 1 << 20), Err(ReadError::Io(_))));
    }

    #[test]
    fn look_back_counts_over_segments_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 1000);
        for count in [0, 1, 2, 33, 80, 1000] {
            assert_eq!(log.last_records(count, None, log.end()).unwrap().len(), count.min(80) as usize);
        }
        // The batches' newest time is 2000; their records' is 1000.
        assert_eq!(log.records_since(1000, log.end()).unwrap().len(), 80);
        assert_eq!(log.records_since(2001, log.end()).unwrap().len(), 0);
        assert_eq!(log.last_records(10, Some(1001), log.end()).unwrap().len(), 0);
        for _ in 0..20 {
            log.append(&[sample(&["more", "more"])]).unwrap();
        }
        assert!(matches!(log.last_records(101, None, log.end()), Err(ReadError::TooManyRecords(100))));
    }

    #[test]
    fn a_batch_that_fits_no_segment_is_refused_whole() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 1000);
        let large = sample(&[&"x".repeat(1000)]);
        assert!(matches!(log.append(&[sample(&["small"]), large]), Err(WriteError::TooLarge)));
        assert_eq!((log.end(), values(&log, 0)), (80, expected(40)));
        let many: Vec<Batch> = (0..20).map(|_| sample(&["one", "two"])).collect();
        assert_eq!(log.append(&many).unwrap(), 80);
        assert_eq!(values(&log, 80).len(), 40);
    }

    #[test]
    fn a_failed_append_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), 1000);
        let segments = fs::read_dir(dir.path()).unwrap().count();
        // The next segment cannot be made: there is a folder of its name.
        let many: Vec<Batch> = (0..20).map(|_| sample(&["one", "two"])).collect();
        for base in 81..130 {
            fs::create_dir(Segment::path_in(dir.path(), base)).unwrap();
        }
        assert!(matches!(log.append(&many), Err(WriteError::Io(_))));
        for base in 81..130 {
            fs::remove_dir(Segment::path_in(dir.path(), base)).unwrap();
        }
        assert_eq!((log.end(), values(&log, 0)), (80, expected(40)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), segments);
        assert_eq!(log.append(&many).unwrap(), 80);
        drop(log);
        let (log, cut) = Log::open(dir.path(), settings(1000)).unwrap();
        assert_eq!((log.end(), cut, values(&log, 0).len()), (120, 0, 120));
    }
}
