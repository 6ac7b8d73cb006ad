//! `tallybook generate`: a reference workload.

use anyhow::Result;

use crate::command_line::GenerateArguments;

/// Writes a reference workload.
///
/// # Errors
/// What cannot be written.
pub fn generate(_arguments: &GenerateArguments) -> Result<()> {
    Ok(())
}
