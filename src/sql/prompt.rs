//! The interactive prompt.

use std::io::{Write, stdout};

use anyhow::Result;
use datafusion::error::DataFusionError;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::runtime::Runtime;

use super::views::VIEWS;
use super::{Session, explain};
use crate::command_line::RowFormat;

const HELP: &str = "A query ends with ;    DESCRIBE name;  shows columns    tables  lists what there is
exit, or Ctrl-D, ends    COPY (SELECT ...) TO 'file.csv';  writes a file (.csv, .parquet or .json)";

/// A prompt over a data directory.
pub struct Prompt<'a> {
    runtime: &'a Runtime,
    session: Session,
}

impl<'a> Prompt<'a> {
    /// A prompt for a session.
    #[must_use]
    pub const fn new(runtime: &'a Runtime, session: Session) -> Self {
        Self { runtime, session }
    }

    /// Answers queries until the user has enough.
    ///
    /// # Errors
    /// When the terminal fails. A query that fails is shown and forgotten.
    pub fn run(&self) -> Result<()> {
        show_tables()?;
        writeln!(stdout(), "\n{HELP}\n")?;
        let mut editor = DefaultEditor::new()?;
        let mut text = String::new();
        loop {
            let prompt = if text.is_empty() { "tallybook> " } else { "       ..> " };
            match editor.readline(prompt) {
                Ok(line) => {
                    let word = if text.is_empty() { Word::of(&line) } else { Word::Query };
                    match word {
                        Word::Nothing => {}
                        Word::Help => writeln!(stdout(), "{HELP}")?,
                        Word::Tables => show_tables()?,
                        Word::Exit => return Ok(()),
                        Word::Query => {
                            text.push_str(&line);
                            text.push('\n');
                        }
                    }
                    if text.trim_end().ends_with(';') {
                        editor.add_history_entry(text.trim())?;
                        self.answer(&text)?;
                        text.clear();
                    }
                }
                Err(ReadlineError::Interrupted) => text.clear(),
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn answer(&self, text: &str) -> Result<()> {
        let answered = self.runtime.block_on(self.session.answer(text, &mut stdout(), RowFormat::Table));
        match answered.as_ref().map_err(|error| error.downcast_ref::<DataFusionError>()) {
            Err(Some(error)) => writeln!(stdout(), "error: {}", explain(error)).map_err(Into::into),
            _ => answered,
        }
    }
}

/// What a line asks for where no query is begun.
enum Word {
    Nothing,
    Help,
    Tables,
    Exit,
    /// It begins a query.
    Query,
}

impl Word {
    fn of(line: &str) -> Self {
        match line.trim() {
            "" => Self::Nothing,
            "help" | "\\?" | "?" => Self::Help,
            "tables" | "\\d" => Self::Tables,
            "exit" | "quit" | "\\q" => Self::Exit,
            _ => Self::Query,
        }
    }
}

fn show_tables() -> Result<()> {
    for view in &VIEWS {
        writeln!(stdout(), "  {:20} {}", view.name, view.shows)?;
    }
    Ok(())
}
