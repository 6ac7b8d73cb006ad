//! The interactive prompt.

use std::io::{Write, stdout};

use anyhow::Result;
use datafusion::error::DataFusionError;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::runtime::Runtime;

use super::views::VIEWS;
use super::{Session, answer};
use crate::command_line::RowFormat;

const HELP: &str = "A query ends with ;    DESCRIBE name;  shows columns    tables  lists what there is
exit, or Ctrl-D, ends    COPY (SELECT ...) TO 'file.csv';  writes a file (.csv, .parquet or .json)";

/// A prompt over results.
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
                    if text.is_empty() && !self.is_query(line.trim())? {
                        if matches!(line.trim(), "exit" | "quit" | "\\q") {
                            return Ok(());
                        }
                        continue;
                    }
                    text.push_str(&line);
                    text.push('\n');
                    if line.trim_end().ends_with(';') {
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

    /// Is a line the begin of a query? Words of the prompt are answered.
    #[expect(clippy::unused_self, reason = "answers for the prompt")]
    fn is_query(&self, line: &str) -> Result<bool> {
        match line {
            "" | "exit" | "quit" | "\\q" => {}
            "help" | "\\?" | "?" => writeln!(stdout(), "{HELP}")?,
            "tables" | "\\d" => show_tables()?,
            _ => return Ok(true),
        }
        Ok(false)
    }

    fn answer(&self, text: &str) -> Result<()> {
        let answered = self.runtime.block_on(async {
            for statement in Session::statements(text)? {
                let rows = self.session.run(statement).await?;
                answer::show(&mut stdout(), rows, RowFormat::Table).await?;
            }
            Ok::<(), anyhow::Error>(())
        });
        match answered.as_ref().map_err(|error| error.downcast_ref::<DataFusionError>()) {
            Err(Some(error)) => writeln!(stdout(), "error: {}", error.strip_backtrace()).map_err(Into::into),
            _ => answered,
        }
    }
}

fn show_tables() -> Result<()> {
    for view in &VIEWS {
        writeln!(stdout(), "  {:20} {}", view.name, view.shows)?;
    }
    Ok(())
}
