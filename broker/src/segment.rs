//! One file of a partition's log: batches one after the other, each in a frame that proves it whole.
//!
//! File: eight bytes of [`MAGIC`], then frames: length of the batch (u32, big-endian), CRC-32 of the batch,
//! the batch as Fluvio encodes it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::Batch;

const MAGIC: &[u8; 8] = b"ovlog\0\0\x01";
/// Where the first frame begins.
pub(crate) const HEAD_BYTES: u64 = MAGIC.len() as u64;
/// Length and CRC.
pub(crate) const FRAME_BYTES: usize = 8;
/// One index entry per so many bytes: what a read may have to skip.
const INDEX_STEP_BYTES: u64 = 16 << 10;
/// Read from the file at a time; a larger batch is read whole.
const CHUNK_BYTES: usize = 256 << 10;

/// A place in the file where a batch begins.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: i64,
    position: u64,
}

#[derive(Debug)]
pub(crate) struct Segment {
    /// Offset of the first batch, which also names the file.
    base: i64,
    path: PathBuf,
    file: File,
    /// Bytes that are written and valid.
    len: AtomicU64,
    /// Sparse, in order. `None` until a sealed segment is first read.
    index: RwLock<Option<Vec<Mark>>>,
}

/// What opening the last segment of a log found.
pub(crate) struct Recovered {
    /// The offset after the last whole batch.
    pub(crate) next: i64,
    /// Bytes cut off behind it.
    pub(crate) cut: u64,
}

/// How far a visit of batches goes on.
pub(crate) enum Visit {
    Go,
    Stop,
}

impl Segment {
    pub(crate) fn path_in(dir: &Path, base: i64) -> PathBuf {
        dir.join(format!("{base:020}.log"))
    }

    pub(crate) fn create(dir: &Path, base: i64) -> io::Result<Segment> {
        let path = Segment::path_in(dir, base);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.write_all_at(MAGIC, 0)?;
        File::open(dir)?.sync_all()?;
        Ok(Segment {
            base,
            path,
            file,
            len: AtomicU64::new(HEAD_BYTES),
            index: RwLock::new(Some(Vec::new())),
        })
    }

    /// Opens a segment that is no longer written to.
    pub(crate) fn open_sealed(dir: &Path, base: i64) -> io::Result<Segment> {
        let path = Segment::path_in(dir, base);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let len = file.metadata()?.len();
        let segment = Segment { base, path, file, len: AtomicU64::new(len), index: RwLock::new(None) };
        segment.check_head()?;
        Ok(segment)
    }

    /// Opens the segment to be written on: reads all of it and cuts off what a crash left half written.
    pub(crate) fn open_active(dir: &Path, base: i64) -> io::Result<(Segment, Recovered)> {
        let path = Segment::path_in(dir, base);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let found = file.metadata()?.len();
        if found < HEAD_BYTES {
            drop(file);
            return Ok((Segment::create(dir, base)?, Recovered { next: base, cut: 0 }));
        }
        let segment =
            Segment { base, path, file, len: AtomicU64::new(found), index: RwLock::new(Some(Vec::new())) };
        segment.check_head()?;
        let mut next = base;
        let mut valid = HEAD_BYTES;
        let mut marks = Vec::new();
        segment.scan(HEAD_BYTES, found, |position, batch| {
            // An old frame left behind a cut, or rubbish that happens to check out, does not continue the log.
            if batch.base_offset() < next || batch.last_delta() < 0 {
                return Visit::Stop;
            }
            mark(&mut marks, batch.base_offset(), position);
            next = batch.next_offset();
            valid = position + (FRAME_BYTES + batch.bytes().len()) as u64;
            Visit::Go
        })?;
        if valid < found {
            segment.file.set_len(valid)?;
            segment.file.sync_data()?;
        }
        segment.len.store(valid, Ordering::Release);
        *write(&segment.index) = Some(marks);
        Ok((segment, Recovered { next, cut: found - valid }))
    }

    fn check_head(&self) -> io::Result<()> {
        let mut head = [0; MAGIC.len()];
        self.file.read_exact_at(&mut head, 0)?;
        if &head == MAGIC {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is no log segment", self.path.display())))
    }

    pub(crate) fn base(&self) -> i64 {
        self.base
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// When the segment was last written to.
    pub(crate) fn last_write(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    /// Appends frames. On failure the file is as before, or the error says that it could not be restored.
    pub(crate) fn append(&self, frames: &[u8], marks: &[(i64, u64)]) -> Result<(), AppendError> {
        let len = self.len();
        if let Err(error) = self.file.write_all_at(frames, len) {
            return Err(match self.truncate(len) {
                Ok(()) => AppendError::Undone(error),
                Err(_) => AppendError::Broken(error),
            });
        }
        {
            let mut index = write(&self.index);
            let index = index.get_or_insert_with(Vec::new);
            for (offset, at) in marks {
                mark(index, *offset, len + at);
            }
        }
        self.len.store(len + frames.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Takes back what was appended after `len`.
    pub(crate) fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.len.store(len, Ordering::Release);
        if let Some(index) = write(&self.index).as_mut() {
            index.retain(|mark| mark.position < len);
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Visits the batches whose last offset is at or after `from`, in order.
    pub(crate) fn visit(&self, from: i64, mut visit: impl FnMut(Batch) -> Visit) -> io::Result<()> {
        let len = self.len();
        let start = self.position_before(from, len)?;
        let end =
            self.scan(
                start,
                len,
                |_, batch| if batch.next_offset() <= from { Visit::Go } else { visit(batch) },
            )?;
        match end {
            ScanEnd::Damaged(position) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged at byte {position}", self.path.display()),
            )),
            ScanEnd::Stopped | ScanEnd::Complete => Ok(()),
        }
    }

    fn position_before(&self, from: i64, len: u64) -> io::Result<u64> {
        if read(&self.index).is_none() {
            let mut marks = Vec::new();
            self.scan(HEAD_BYTES, len, |position, batch| {
                mark(&mut marks, batch.base_offset(), position);
                Visit::Go
            })?;
            *write(&self.index) = Some(marks);
        }
        let index = read(&self.index);
        let marks = index.as_deref().unwrap_or_default();
        let after = marks.partition_point(|mark| mark.offset <= from);
        Ok(after.checked_sub(1).map_or(HEAD_BYTES, |at| marks[at].position))
    }

    /// Reads frames from `start` up to `end`, until one is damaged or the visitor has enough.
    fn scan(&self, start: u64, end: u64, mut visit: impl FnMut(u64, Batch) -> Visit) -> io::Result<ScanEnd> {
        let mut position = start;
        let mut want = CHUNK_BYTES;
        while position < end {
            let left = end - position;
            let mut chunk = BytesMut::zeroed(want.min(usize::try_from(left).unwrap_or(usize::MAX)));
            self.file.read_exact_at(&mut chunk, position)?;
            let mut chunk = chunk.freeze();
            let complete = chunk.len() as u64 == left;
            want = CHUNK_BYTES;
            loop {
                let Some(length) = chunk.get(..4).and_then(|length| length.try_into().ok()) else {
                    if complete && !chunk.is_empty() {
                        return Ok(ScanEnd::Damaged(position));
                    }
                    break;
                };
                let frame = FRAME_BYTES + u32::from_be_bytes(length) as usize;
                if chunk.len() < frame {
                    if frame as u64 > end - position {
                        return Ok(ScanEnd::Damaged(position));
                    }
                    want = frame.max(CHUNK_BYTES);
                    break;
                }
                match take_frame(&mut chunk, frame) {
                    Some(batch) => {
                        if let Visit::Stop = visit(position, batch) {
                            return Ok(ScanEnd::Stopped);
                        }
                    }
                    None => return Ok(ScanEnd::Damaged(position)),
                }
                position += frame as u64;
            }
        }
        Ok(ScanEnd::Complete)
    }
}

/// Why an append failed.
pub(crate) enum AppendError {
    /// Nothing of it is in the file.
    Undone(io::Error),
    /// Part of it may be: nothing may be appended any more.
    Broken(io::Error),
}

enum ScanEnd {
    Complete,
    Stopped,
    Damaged(u64),
}

/// Puts a batch, at its new offset, into a frame.
pub(crate) fn put_frame(batch: &Batch, base_offset: i64, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32(batch.bytes().len() as u32);
    out.put_u32(0);
    batch.write_at(base_offset, out);
    let crc = crc32fast::hash(&out[start + FRAME_BYTES..]);
    out[start + 4..start + FRAME_BYTES].copy_from_slice(&crc.to_be_bytes());
}

fn take_frame(chunk: &mut Bytes, frame: usize) -> Option<Batch> {
    let head = chunk.split_to(FRAME_BYTES);
    let mut body = chunk.split_to(frame - FRAME_BYTES);
    let crc = u32::from_be_bytes(head[4..].try_into().ok()?);
    if crc32fast::hash(&body) != crc {
        return None;
    }
    let batch = Batch::split_from(&mut body).ok()?;
    body.is_empty().then_some(batch)
}

fn mark(marks: &mut Vec<Mark>, offset: i64, position: u64) {
    if marks.last().is_none_or(|last| position >= last.position + INDEX_STEP_BYTES) {
        marks.push(Mark { offset, position });
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
