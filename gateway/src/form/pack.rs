//! Compression of single messages: each one is a whole for itself, so that its bytes serve every client.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

/// What a compressed piece ends with, and a WebSocket message leaves out (RFC 7692, 7.2.1).
pub(crate) const PACK_TAIL: &[u8] = &[0x00, 0x00, 0xff, 0xff];

/// The head of a gzip stream: deflate, no name, no time.
pub(crate) const GZIP_BEGIN: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The bytes as deflate blocks that need nothing before them, without [`PACK_TAIL`].
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(6), false);
    // Deflate grows what it cannot compress by a few bytes for each 16 KiB.
    let mut packed = Vec::with_capacity(bytes.len() + bytes.len() / 1_000 + 64);
    loop {
        let taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX).min(bytes.len());
        let is_full = packed.len() == packed.capacity();
        if is_full {
            packed.reserve(256);
        }
        match compress.compress_vec(&bytes[taken..], &mut packed, FlushCompress::Sync) {
            // It has all, and there was room for all that comes of it.
            Ok(Status::Ok | Status::BufError) if packed.len() < packed.capacity() => break,
            Ok(_) => {}
            // It fails for no bytes.
            Err(_) => break,
        }
    }
    if packed.ends_with(PACK_TAIL) {
        packed.truncate(packed.len() - PACK_TAIL.len());
    }
    packed
}

/// The bytes of a compressed message without its tail, if they are no more than `bytes_max`; none if they are, or are none.
pub(crate) fn unpack(packed: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let source = packed.chain(PACK_TAIL);
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX - 1);
    let mut bytes = Vec::new();
    let mut decoder = DeflateDecoder::new(source).take(limit + 1);
    match decoder.read_to_end(&mut bytes) {
        Ok(_) => {}
        // The stream goes on with the next message, so it has no end here.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
        Err(_) => return None,
    }
    (bytes.len() <= bytes_max).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..70_000), repeat in 1..4_usize) {
            let bytes = bytes.repeat(repeat);
            let packed = pack(&bytes);
            prop_assert_eq!(unpack(&packed, bytes.len()), Some(bytes.clone()));
            if !bytes.is_empty() {
                prop_assert_eq!(unpack(&packed, bytes.len() - 1), None);
            }
        }

        #[test]
        fn anything_may_be_unpacked(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = unpack(&bytes, 1_000);
            prop_assert!(bytes.is_none_or(|bytes| bytes.len() <= 1_000));
        }
    }

    #[test]
    fn a_bomb_stays_small() {
        let bomb = pack(&vec![b' '; 1 << 22]);
        assert!(bomb.len() < 10_000);
        assert_eq!(unpack(&bomb, 4_096), None);
    }
}
