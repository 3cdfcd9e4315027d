use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher;

/// The partition that Fluvio's own producers choose for a key, out of `partitions`.
///
/// It has to be the same choice: a room's reactions come from gateways and from `fluvio produce` alike.
///
/// # Panics
///
/// When `partitions` is 0.
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    let mut hasher = SipHasher::new();
    key.hash(&mut hasher);
    let partition = hasher.finish() % u64::from(partitions);
    u32::try_from(partition).expect("a remainder is below its divisor, which fits")
}

#[cfg(test)]
mod tests {
    use super::partition_of_key;

    #[test]
    fn one_partition_takes_every_key() {
        assert_eq!(partition_of_key(b"final-2026", 1), 0);
        assert_eq!(partition_of_key(b"", 1), 0);
    }

    #[test]
    fn a_key_stays_where_fluvio_puts_it() {
        // SipHash-2-4 with zero keys over the length-prefixed bytes: values must never change.
        let placed: Vec<u32> = ["a", "b", "final-2026", "room-1", "room-2"]
            .iter()
            .map(|key| partition_of_key(key.as_bytes(), 4))
            .collect();
        assert_eq!(placed, PLACED);
    }

    const PLACED: [u32; 5] = [3, 0, 3, 0, 3];
}
