//! Numbers that look random and follow from a seed: `SplitMix64`.
//!
//! Every line and every account has a stream of its own, so that a line can be made again when it is
//! sent a second time, without keeping it.

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// Which contract lines accounts are under, and who is how active.
    Accounts = 1,
    /// What a contract line says.
    Lines = 2,
    /// Which line of usage is a re-send, and of which.
    Resends = 3,
    /// What a line of usage says.
    Usage = 4,
}

/// A stream of numbers.
#[derive(Debug)]
pub(super) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Random {
    /// The stream of a thing that has this number.
    pub(super) fn new(seed: u64, stream: Stream, number: u64) -> Self {
        let seed = mix(seed.wrapping_add(STEP.wrapping_mul(stream as u64)));
        Self(mix(seed ^ number.wrapping_mul(STEP)))
    }

    /// Any number.
    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below a limit.
    #[inline]
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Does something happen that happens so many times in a million?
    #[inline]
    pub(super) fn happens(&mut self, per_million: u64) -> bool {
        self.below(1_000_000) < per_million
    }

    /// One of the things weighted in percent.
    #[inline]
    pub(super) fn weighted(&mut self, percents: &[u64]) -> usize {
        let mut point = self.below(100);
        for (position, percent) in percents.iter().enumerate() {
            if point < *percent {
                return position;
            }
            point -= percent;
        }
        0
    }

    /// About normal, with 16 binary places: the sum of twelve uniform numbers.
    #[inline]
    pub(super) fn normal(&mut self) -> i64 {
        let mut sum = 0;
        for _ in 0..3 {
            let four = self.next();
            sum += (four & 0xffff) + (four >> 16 & 0xffff) + (four >> 32 & 0xffff) + (four >> 48);
        }
        sum.cast_signed() - 6 * super::fixed_point::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_as_they_should() {
        let mut random = Random::new(42, Stream::Usage, 7);
        let mut weights = [0u32; 3];
        let (mut happened, mut sum, mut squares) = (0, 0i64, 0i64);
        for _ in 0..100_000 {
            weights[random.weighted(&[50, 30, 20])] += 1;
            happened += u32::from(random.happens(10_000));
            let normal = random.normal();
            sum += normal;
            squares += (normal * normal) >> 16;
            assert!(random.below(10) < 10);
        }
        assert!(weights[0].abs_diff(50_000) < 700 && weights[2].abs_diff(20_000) < 700, "{weights:?}");
        assert!(u32::abs_diff(happened, 1_000) < 150, "{happened}");
        assert!((sum / 100_000).abs() < 1_000, "{sum}");
        assert!((squares / 100_000 - super::super::fixed_point::ONE).abs() < 1_500, "{squares}");
    }
}
