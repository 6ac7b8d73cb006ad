//! `tallybook quarantine`: what was refused, is a conflict, or has no price.

use anyhow::Result;

use crate::command_line::{QuarantineAction, QuarantineArguments};
use crate::quarantine::{export, list, replay, show};

/// Lists, shows, exports, or decides records again.
///
/// # Errors
/// What cannot be read, used or written.
pub fn quarantine(arguments: &QuarantineArguments) -> Result<()> {
    match &arguments.action {
        QuarantineAction::List(arguments) => list::list(arguments),
        QuarantineAction::Show(arguments) => show::show(arguments),
        QuarantineAction::Replay(arguments) => replay::replay(arguments),
        QuarantineAction::Export(arguments) => export::export(arguments),
    }
}
