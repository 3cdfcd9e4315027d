//! How many different ones there were: HyperLogLog (Flajolet et al. 2007), read by Ertl's estimator, which needs no tables and
//! has no bias between small and large counts ("New cardinality estimation algorithms for HyperLogLog sketches", 2017).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip::SipHasher13;

/// Bits of a hash that choose its register.
const INDEX_BITS: u32 = 11;
const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash that its rank is read from.
const RANK_BITS: u32 = u32::BITS - INDEX_BITS;
/// Ranks that there are, with 0.
const RANKS: usize = RANK_BITS as usize + 2;
/// Up to this many hashes are kept as they are, and counted exactly; as text they are as long as the registers.
const HASHES_MAX: usize = 256;
const HEX_DIGITS_PER_HASH: usize = 8;
/// A register as text: this letter for 0, and the ones that follow for ranks.
const REGISTER_ZERO: u8 = b'A';

/// A count of different names that merges with others: exact up to 256, beyond with a standard error of 2.3 %
/// (1.04 ÷ √2048). About 2 KiB of memory and of text at most.
///
/// Made for up to about 10⁸ names: hashes have 32 bits, so of 50 million different ones 0.6 % look like another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct(Kept);

/// The same names make the same state in whatever order and by whatever merges they come, as checkpoints demand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// Different hashes, in order.
    Hashes(Vec<u32>),
    Registers(Box<Registers>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Registers {
    /// For each register the largest rank that it saw; 0 for none.
    ranks: [u8; REGISTERS],
    /// How many registers have each rank. This is all that an estimate looks at, and estimates are asked for far more often than a rank
    /// is raised.
    with_rank: [u16; RANKS],
}

impl Default for Distinct {
    fn default() -> Self {
        Self(Kept::Hashes(Vec::new()))
    }
}

impl Distinct {
    /// Counts a name, once however often it comes.
    pub fn add(&mut self, name: impl AsRef<[u8]>) {
        // The keys of the hash are fixed: a checkpoint outlives a build.
        let hasher = SipHasher13::new_with_keys(0x6f76_6174_696f_6e31, 0x6469_7374_696e_6374);
        self.insert((hasher.hash(name.as_ref()) >> 32) as u32);
    }

    /// Counts all that another one has counted, too.
    pub fn merge(&mut self, other: &Self) {
        match &other.0 {
            Kept::Hashes(hashes) => hashes.iter().for_each(|hash| self.insert(*hash)),
            Kept::Registers(theirs) => {
                let ours = self.registers();
                for (register, rank) in theirs.ranks.iter().enumerate() {
                    ours.raise(register, *rank);
                }
            }
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Kept::Hashes(hashes) if hashes.is_empty())
    }

    /// How many there were.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        match &self.0 {
            Kept::Hashes(hashes) => hashes.len() as u64,
            Kept::Registers(registers) => registers.estimate().round() as u64,
        }
    }

    fn insert(&mut self, hash: u32) {
        match &mut self.0 {
            Kept::Hashes(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                if hashes.len() < HASHES_MAX {
                    hashes.insert(at, hash);
                } else {
                    self.registers().add(hash);
                }
            }
            Kept::Registers(registers) => registers.add(hash),
        }
    }

    /// Its registers, made of its hashes if it has none yet.
    fn registers(&mut self) -> &mut Registers {
        if let Kept::Hashes(hashes) = &self.0 {
            let mut registers = Box::<Registers>::default();
            hashes.iter().for_each(|hash| registers.add(*hash));
            self.0 = Kept::Registers(registers);
        }
        match &mut self.0 {
            Kept::Registers(registers) => registers,
            Kept::Hashes(_) => unreachable!("they have just become registers"),
        }
    }
}

impl Default for Registers {
    fn default() -> Self {
        let mut with_rank = [0; RANKS];
        with_rank[0] = REGISTERS as u16;
        Self { ranks: [0; REGISTERS], with_rank }
    }
}

impl Registers {
    fn add(&mut self, hash: u32) {
        // The bit behind the last one ends the run of zeros.
        let rank = ((hash << INDEX_BITS) | (1 << (INDEX_BITS - 1))).leading_zeros() as u8 + 1;
        self.raise((hash >> RANK_BITS) as usize, rank);
    }

    fn raise(&mut self, register: usize, rank: u8) {
        let before = &mut self.ranks[register];
        if rank > *before {
            self.with_rank[usize::from(*before)] -= 1;
            self.with_rank[usize::from(rank)] += 1;
            *before = rank;
        }
    }

    /// Ertl's improved raw estimator, algorithm 6 of the paper.
    fn estimate(&self) -> f64 {
        let m = REGISTERS as f64;
        let [none, between @ .., largest] = self.with_rank.map(f64::from);
        let mut z = m * tau(1.0 - largest / m);
        for count in between.iter().rev() {
            z = 0.5 * (z + count);
        }
        z += m * sigma(none / m);
        m * m / (2.0 * std::f64::consts::LN_2 * z)
    }
}

/// What empty registers say. Finite: there is always one that is not empty.
fn sigma(x: f64) -> f64 {
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before || !z.is_finite() {
            return z;
        }
    }
}

/// What registers say whose run of zeros had no end.
fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = match &self.0 {
            Kept::Hashes(hashes) => hashes.iter().map(|hash| format!("{hash:08x}")).collect(),
            Kept::Registers(registers) => {
                registers.ranks.iter().map(|rank| char::from(REGISTER_ZERO + rank)).collect()
            }
        };
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        read(text.as_bytes()).map(Self).ok_or_else(|| D::Error::custom("a damaged count of distinct names"))
    }
}

/// Hashes are of small hexadecimal digits, registers of capital letters.
fn read(text: &[u8]) -> Option<Kept> {
    if text.first().is_some_and(u8::is_ascii_uppercase) {
        let mut registers = Box::<Registers>::default();
        if text.len() != REGISTERS {
            return None;
        }
        for (register, letter) in text.iter().enumerate() {
            let rank = letter.checked_sub(REGISTER_ZERO).filter(|rank| usize::from(*rank) < RANKS)?;
            registers.raise(register, rank);
        }
        return Some(Kept::Registers(registers));
    }
    let digits = text.chunks(HEX_DIGITS_PER_HASH).map(|digits| {
        let whole = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == HEX_DIGITS_PER_HASH);
        u32::from_str_radix(whole?, 16).ok()
    });
    let hashes: Vec<u32> = digits.collect::<Option<_>>()?;
    let in_order = hashes.is_sorted_by(|one, next| one < next);
    (in_order && hashes.len() <= HASHES_MAX).then_some(Kept::Hashes(hashes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(names: impl IntoIterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::default();
        names.into_iter().for_each(|name| distinct.add(format!("user-{name}")));
        distinct
    }

    #[test]
    fn few_are_counted_exactly() {
        assert!(Distinct::default().is_empty());
        for count in [0, 1, 2, 100, 256] {
            assert_eq!(of((0..count).chain(0..count)).estimate(), count);
        }
    }

    #[test]
    fn many_are_counted_within_a_few_standard_errors() {
        const STANDARD_ERROR: f64 = 0.023;
        let mut squares = Vec::new();
        for count in [257_u64, 1_000, 5_000, 20_000, 200_000] {
            for trial in 0..8_u64 {
                let from = trial * 10_000_000;
                let error = of(from..from + count).estimate() as f64 / count as f64 - 1.0;
                assert!(error.abs() < 4.0 * STANDARD_ERROR, "{count}: {error}");
                squares.push(error * error);
            }
        }
        let root = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!(root < 1.3 * STANDARD_ERROR, "of {} trials: {root}", squares.len());
    }

    #[test]
    fn damaged_text_is_refused() {
        let few = serde_json::to_string(&of(0..3)).expect("text");
        let many = serde_json::to_string(&of(0..3_000)).expect("text");
        for text in [
            few.replacen('"', "\"00", 1),
            few.replace(|digit: char| digit.is_ascii_hexdigit(), "g"),
            many.replace('"', "").chars().take(100).collect::<String>(),
            many.replacen(|letter: char| letter.is_ascii_uppercase(), "z", 1),
            format!("\"{}\"", "00000001".repeat(2)),
        ] {
            assert!(serde_json::from_str::<Distinct>(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn order_merges_and_checkpoints_make_no_difference(
            names in proptest::collection::vec(0_u64..2_000, 0..1_200), cut in 0_usize..1_200,
        ) {
            let whole = of(names.iter().copied());
            prop_assert_eq!(&of(names.iter().rev().copied()), &whole);
            let (one, other) = names.split_at(cut.min(names.len()));
            let mut merged = of(one.iter().copied());
            merged.merge(&of(other.iter().copied()));
            prop_assert_eq!(&merged, &whole);
            let text = serde_json::to_string(&whole).expect("text");
            prop_assert_eq!(serde_json::from_str::<Distinct>(&text).expect("its own text"), whole);
        }
    }
}
