//! The log, as lines of text or of JSON.
//!
//! Nothing that a client sends can look like a line of its own there, or move the cursor of who reads it: characters that
//! could are written as escapes.

use std::fmt::{self, Debug, Write};

use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::config::ServiceConfig;

/// What takes the log of a service, as it is configured: in colours where it is read on a terminal.
///
/// # Errors
/// [`ParseError`] when what is to be logged cannot be understood.
pub fn subscriber<W>(
    config: &ServiceConfig,
    is_terminal: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(if config.log_json {
        Box::new(subscriber.json().finish())
    } else {
        Box::new(subscriber.with_ansi(is_terminal).fmt_fields(debug_fn(field).delimited(" ")).finish())
    })
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(Escaped(writer), "{value:?}")
}

/// Writes characters that steer what shows them as escapes.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((position, character)) =
            rest.char_indices().find(|(_, character)| is_steering(*character))
        {
            let (plain, after) = rest.split_at(position);
            self.0.write_str(plain)?;
            write!(self.0, "{}", character.escape_default())?;
            rest = after.get(character.len_utf8()..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Does it end a line, begin a sequence for a terminal, or turn the direction of text?
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
