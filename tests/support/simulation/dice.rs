//! Random numbers that follow from a seed: a sequence, and numbers for a place that need no sequence.

/// SplitMix64: the same numbers for a seed on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(mixed(seed ^ 0x5e77_1e00))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number from `least` to below `end`.
    pub fn between(&mut self, least: i64, end: i64) -> i64 {
        least + (self.next() % (end - least) as u64) as i64
    }

    /// True in this many of a hundred cases.
    pub fn chance(&mut self, percent: i64) -> bool {
        self.between(0, 100) < percent
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len() as i64) as usize]
    }
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The number of a place, from 0 to below `end`: the same whenever it is asked for.
pub fn at(seed: u64, place: &str, number: i64, end: i64) -> i64 {
    let start = mixed(seed).wrapping_add(number as u64);
    let bits = place.bytes().fold(start, |bits, byte| mixed(bits ^ u64::from(byte)));
    (mixed(bits) % end as u64) as i64
}
