//! Amounts of single events: a fee and bounds on top of a share of the value.
//!
//! Bounds hold for each event, so they cannot be applied to the aggregate: events are priced first and
//! their amounts summed.

use crate::Overflow;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerEvent {
    pub(crate) fee: i128,
    pub(crate) minimum: Option<i128>,
    pub(crate) maximum: Option<i128>,
}

impl PerEvent {
    /// Is there a bound, which only single events can be held to?
    pub(crate) const fn has_bounds(&self) -> bool {
        self.minimum.is_some() || self.maximum.is_some()
    }

    /// The amount of an event whose share of the value is given.
    #[inline]
    pub(crate) fn amount(&self, share: i128) -> Result<i128, Overflow> {
        let amount = share.checked_add(self.fee).ok_or(Overflow)?;
        let amount = self.minimum.map_or(amount, |minimum| amount.max(minimum));
        Ok(self.maximum.map_or(amount, |maximum| amount.min(maximum)))
    }

    /// The fees of a number of events.
    pub(crate) fn fees(&self, events: u64) -> Result<i128, Overflow> {
        self.fee.checked_mul(i128::from(events)).ok_or(Overflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_comes_before_the_bounds() {
        let cases = [
            // share, fee, minimum, maximum, amount
            (100, 0, None, None, 100),
            (100, 30, None, None, 130),
            (10, 30, Some(50), None, 50),
            (20, 30, Some(50), None, 50),
            (21, 30, Some(50), None, 51),
            (980, 30, None, Some(1_000), 1_000),
            (970, 30, None, Some(1_000), 1_000),
            (969, 30, None, Some(1_000), 999),
            (0, 0, Some(50), Some(50), 50),
            (-100, 30, None, Some(1_000), -70),
        ];
        for (share, fee, minimum, maximum, amount) in cases {
            let per_event = PerEvent { fee, minimum, maximum };
            assert_eq!(per_event.amount(share), Ok(amount), "{per_event:?} of {share}");
        }
        assert_eq!(PerEvent { fee: 3, ..PerEvent::default() }.fees(4), Ok(12));
        assert_eq!(PerEvent { fee: i128::MAX, ..PerEvent::default() }.amount(1), Err(Overflow));
    }
}
