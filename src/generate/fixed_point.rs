//! Logarithms and powers of two in whole numbers, with 16 binary places.
//!
//! Distributions need them, and the floating-point ones of two platforms may differ in their last bit.

/// One, with 16 binary places.
pub(super) const ONE: i64 = 1 << 16;

/// Binary places of the factors of [`Powers`].
const FACTOR_PLACES: u32 = 32;

/// The logarithm of a number above zero, to the base two.
#[must_use]
pub(super) fn log2(number: u64) -> i64 {
    let whole = number.checked_ilog2().unwrap_or(0);
    // From 1 up to 2, with 63 binary places. Squaring doubles the logarithm: its next binary place is 1
    // where the square reaches 2.
    let mut rest = u128::from(number) << (63 - whole);
    let mut log = i64::from(whole);
    for _ in 0..16 {
        rest = (rest * rest) >> 63;
        log <<= 1;
        if rest >> 64 != 0 {
            rest >>= 1;
            log |= 1;
        }
    }
    log
}

/// Powers of two.
#[derive(Debug)]
pub(super) struct Powers {
    /// `2^(1/2)`, `2^(1/4)`, ... with 32 binary places.
    roots: [u64; 16],
}

impl Powers {
    pub(super) fn new() -> Self {
        let mut root = 2u128 << FACTOR_PLACES;
        let roots = std::array::from_fn(|_| {
            root = (root << FACTOR_PLACES).isqrt();
            u64::try_from(root).unwrap_or(u64::MAX)
        });
        Self { roots }
    }

    /// `2^exponent`, rounded down; 0 for exponents below zero, and the largest number from 2^64 on.
    #[must_use]
    pub(super) fn power(&self, exponent: i64) -> u64 {
        let Ok(whole) = u32::try_from(exponent >> 16) else { return 0 };
        let mut factor = 1u128 << FACTOR_PLACES;
        for (place, root) in (0u32..).zip(&self.roots) {
            if exponent & (ONE >> (place + 1)) != 0 {
                factor = (factor * u128::from(*root)) >> FACTOR_PLACES;
            }
        }
        if whole >= 64 {
            return u64::MAX;
        }
        u64::try_from((factor << whole) >> FACTOR_PLACES).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms() {
        // number, logarithm in 65536ths
        let cases =
            [(1, 0), (2, ONE), (3, 103_872), (10, 217_705), (1 << 40, 40 * ONE), (u64::MAX, 64 * ONE - 1)];
        for (number, log) in cases {
            assert_eq!(log2(number), log, "{number}");
        }
    }

    #[test]
    fn powers() {
        let powers = Powers::new();
        let cases = [
            (-1, 0),
            (0, 1),
            (ONE, 2),
            (10 * ONE, 1024),
            (10 * ONE + ONE / 2, 1448),
            (40 * ONE + 1, 1_099_523_256_576),
            (64 * ONE, u64::MAX),
        ];
        for (exponent, power) in cases {
            assert_eq!(powers.power(exponent), power, "{exponent}");
        }
        for number in [3u64, 77, 12_345, 999_999_937, 1 << 50] {
            let back = powers.power(log2(number));
            assert!(back.abs_diff(number) <= number / 50_000 + 1, "{number} {back}");
        }
    }
}
