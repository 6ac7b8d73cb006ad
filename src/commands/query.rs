//! `tallybook query`: SQL over a data directory.

use std::io::{IsTerminal, Read, stdin, stdout};

use anyhow::Result;
use ingest::input::InputError;

use crate::command_line::QueryArguments;
use crate::sql::Session;
use crate::sql::prompt::Prompt;

/// Answers a query, those of standard input, or those typed at a prompt.
///
/// # Errors
/// What cannot be read, and what DataFusion says of a query.
pub fn query(arguments: &QueryArguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let session = runtime.block_on(Session::open(&arguments.data))?;
    let text = match &arguments.sql {
        Some(sql) => sql.clone(),
        None if stdin().is_terminal() => return Prompt::new(&runtime, session).run(),
        None => {
            let mut text = String::new();
            let read = stdin().read_to_string(&mut text);
            read.map_err(|error| InputError::Read { name: "standard input".to_owned(), offset: 0, error })?;
            text
        }
    };
    runtime.block_on(session.answer(&text, &mut stdout(), arguments.format))
}
