//! RATE-1: what is rated sums to the price of the total, to the last decimal, for every model, in any
//! order and any batching. Rates and events are random; a failure prints its seed and its smallest case.
//!
//! The price of the total is worked out a second time, from the rate as it is written and in decimal
//! arithmetic, so that a price that telescopes but is wrong does not pass.

mod random;
mod reference;
mod shapes;
mod telescoping;

pub(crate) use telescoping::plus;
