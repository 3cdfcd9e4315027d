//! Fluvio's variable-length integers: zigzag, seven bits a byte, least significant first.

/// Longest encoding of 64 bits.
const BYTES_MAX: usize = 10;

/// The engine counts fuel at every call, so that one costs far more than these lines.
#[inline(always)]
pub(crate) fn read(bytes: &[u8], at: &mut usize) -> Option<i64> {
    // Nearly all fit one byte or two.
    let first = *bytes.get(*at)?;
    if first & 0x80 == 0 {
        *at += 1;
        return Some(i64::from(first >> 1) ^ -i64::from(first & 1));
    }
    let second = *bytes.get(*at + 1)?;
    if second & 0x80 == 0 {
        *at += 2;
        let zigzag = u64::from(first & 0x7f) | u64::from(second) << 7;
        return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
    }
    read_long(bytes, at)
}

fn read_long(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value: u64 = 0;
    for index in 0..BYTES_MAX {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

pub(crate) fn write(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn size(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_round_trips() {
        for value in [0, 1, -1, 63, 64, -64, -65, 8191, 8192, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out.len(), size(value), "{value}");
            let mut at = 0;
            assert_eq!(read(&out, &mut at), Some(value));
            assert_eq!(at, out.len());
        }
    }

    #[test]
    fn endless_and_cut_numbers_are_refused() {
        assert_eq!(read(&[0xff; 11], &mut 0), None);
        assert_eq!(read(&[0x80], &mut 0), None);
    }
}
