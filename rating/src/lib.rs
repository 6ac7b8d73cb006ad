//! The pure core: which contract line and price apply, and what usage costs.
//!
//! Everything is a function of cumulative usage: a price gives the amount of a charge as `f(usage)`, and
//! every rated amount is a difference of two values of `f`, so that amounts telescope whatever the order
//! and the batching (RATE-1). There is no IO here, no clock, no state, and no floating point; overflow is
//! an error, never a value.

#![deny(clippy::float_arithmetic)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod catalog;
pub mod price;
pub mod rounding;

/// The exact result does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the exact result needs more than 38 digits")]
pub struct Overflow;
