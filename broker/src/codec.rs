//! Compression with a bound on what comes out.

use std::borrow::Cow;
use std::io::{self, Read};

use fluvio_compression::Compression;

/// Decompresses `source`, refusing more than `max` bytes: a few kilobytes can unpack to gigabytes.
pub(crate) fn decompress(compression: Compression, source: &[u8], max: usize) -> io::Result<Cow<'_, [u8]>> {
    match compression {
        Compression::None => Ok(Cow::Borrowed(source)),
        Compression::Gzip => drain(flate2::read::GzDecoder::new(source), max),
        Compression::Snappy => drain(snap::read::FrameDecoder::new(source), max),
        Compression::Lz4 => drain(lz4_flex::frame::FrameDecoder::new(source), max),
        Compression::Zstd => drain(zstd::stream::read::Decoder::new(source)?, max),
    }
}

/// Unpacks a gzipped SmartModule, refusing more than `max` bytes.
pub(crate) fn gunzip(source: &[u8], max: usize) -> io::Result<Vec<u8>> {
    Ok(decompress(Compression::Gzip, source, max)?.into_owned())
}

fn drain(reader: impl Read, max: usize) -> io::Result<Cow<'static, [u8]>> {
    let mut out = Vec::new();
    reader.take(max as u64 + 1).read_to_end(&mut out)?;
    if out.len() > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {max} bytes unpacked")));
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_and_a_bomb_is_refused() {
        let zeros = vec![0; 1 << 20];
        for kind in
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            let packed = kind.compress(&zeros).unwrap();
            assert_eq!(decompress(kind, &packed, 1 << 20).unwrap(), zeros);
            if kind != Compression::None {
                assert!(decompress(kind, &packed, (1 << 20) - 1).is_err(), "{kind}");
            }
        }
    }
}
