//! The JSON values of a request's body, which is there as a whole.

use crate::event_batch::Span;
use crate::split::ValueSplitter;

/// Why the values of a body cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is a list without an end.
    UnclosedList,
    /// There are more than may be.
    TooMany,
    /// There is none.
    Empty,
}

/// Finds the elements of a list, or values that follow each other. They need not be valid.
///
/// # Errors
/// [`BodyError`].
pub fn values_of(body: &[u8], values_max: usize) -> Result<Vec<Span>, BodyError> {
    let (_, spans) = ValueSplitter::default().split(body, true).map_err(|_| BodyError::UnclosedList)?;
    match spans.len() {
        0 => Err(BodyError::Empty),
        many if many > values_max => Err(BodyError::TooMany),
        _ => Ok(spans),
    }
}
