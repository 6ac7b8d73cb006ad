//! `tallybook quarantine show`: all that is known of a record.

use std::io::{self, Write, stdout};
use std::path::Path;

use aggregate::quarantine_rows::quarantine_records;
use anyhow::Result;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::array_value_to_string;
use schemas::printable::printable;
use schemas::quarantine::{CONFLICT_MEND, QuarantineClass, QuarantineRecord, RejectReason, UnratedReason};
use tokio::runtime::Runtime;

use super::QuarantineError;
use super::selection::{NUMBER, text};
use crate::command_line::ShowArguments;
use crate::sql::Session;
use crate::summary::{count, program, shell_word};

/// Shows a record.
///
/// # Errors
/// [`QuarantineError::NoRecord`]; what cannot be read or written.
pub(crate) fn show(arguments: &ShowArguments) -> Result<()> {
    let (runtime, session) = super::open(&arguments.data)?;
    let reading = Reading { runtime, session };
    let sql = format!("SELECT * FROM files.quarantine WHERE quarantine_id = {}", text(&arguments.id));
    let mut found = None;
    for batch in reading.rows(&sql)? {
        found = found.or(quarantine_records(&batch)?.pop());
    }
    let record = found.ok_or_else(|| QuarantineError::NoRecord {
        id: arguments.id.clone(),
        data: arguments.data.clone(),
    })?;
    let history = reading.history(&record)?;
    let mut to = stdout().lock();
    show_record(&mut to, &record)?;
    for (name, what) in &history.lines {
        line(&mut to, name, what)?;
    }
    writeln!(to)?;
    if let Some(header) = &record.csv_header {
        show_lines(&mut to, header)?;
    }
    show_lines(&mut to, &String::from_utf8_lossy(&record.bytes))?;
    if record.bytes.len() as u64 != record.length {
        writeln!(to, "(the first {} of {} bytes)", record.bytes.len(), record.length)?;
    }
    if !history.is_settled {
        writeln!(to)?;
        show_remedy(&mut to, &record, &arguments.data)?;
    }
    Ok(())
}

fn show_record(to: &mut impl Write, record: &QuarantineRecord) -> io::Result<()> {
    line(to, "record", &record.quarantine_id)?;
    line(to, "class", record.class.name())?;
    line(to, "reason", &record.reason)?;
    line(to, "detail", &record.detail)?;
    let place = record.line.map_or_else(String::new, |line| format!(":{line}"));
    let length = count(usize::try_from(record.length).unwrap_or(usize::MAX), "byte", "bytes");
    line(to, "input", &format!("{}{place} ({length} at offset {})", record.input, record.offset))?;
    let time = record.event_time.map(|time| time.to_string());
    for (name, value) in [
        ("csv mapping", &record.csv_mapping),
        ("source", &record.source),
        ("event id", &record.event_id),
        ("event type", &record.event_type),
        ("account", &record.account_id),
        ("event time", &time),
        ("meter", &record.meter_id),
    ] {
        if let Some(value) = value {
            line(to, name, value)?;
        }
    }
    Ok(())
}

fn line(to: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(to, "{name:<12} {}", printable(value))
}

/// The lines of a text of others.
fn show_lines(to: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(to, "{}", printable(line)))
}

fn show_remedy(to: &mut impl Write, record: &QuarantineRecord, data: &Path) -> io::Result<()> {
    let mend = match record.class {
        QuarantineClass::Rejected => RejectReason::of_code(&record.reason).map(RejectReason::mend),
        QuarantineClass::Unrated => UnratedReason::of_code(&record.reason).map(UnratedReason::mend),
        QuarantineClass::Conflict => Some(CONFLICT_MEND),
    };
    writeln!(to, "What to do: {}.", mend.unwrap_or("use the program that wrote the record, or a newer one"))?;
    if record.class == QuarantineClass::Conflict {
        return writeln!(to, "It stays a conflict as long as the event that was counted first stands.");
    }
    writeln!(
        to,
        "Once the catalog is mended:\n  {} quarantine replay --data {} --catalog CATALOG {}",
        program(),
        shell_word(&data.display().to_string()),
        record.quarantine_id
    )
}

/// What happened to a record.
#[derive(Default)]
struct History {
    lines: Vec<(&'static str, String)>,
    is_settled: bool,
}

/// A connection, and what it takes to wait for answers.
struct Reading {
    runtime: Runtime,
    session: Session,
}

impl Reading {
    fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        Ok(self.runtime.block_on(self.session.rows(sql))?)
    }

    /// The rows of an answer, as texts.
    fn texts(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        for batch in self.rows(sql)? {
            for row in 0..batch.num_rows() {
                let column = |column: &dyn Array| array_value_to_string(column, row);
                rows.push(batch.columns().iter().map(|array| column(array)).collect::<Result<_, _>>()?);
            }
        }
        Ok(rows)
    }

    fn history(&self, record: &QuarantineRecord) -> Result<History> {
        let mut history = History::default();
        let id = text(&record.quarantine_id);
        let epoch = |number: &dyn std::fmt::Display| {
            format!("SELECT epoch, recorded_at, cause FROM files.epochs WHERE epoch = {number}")
        };
        for row in self.texts(&epoch(&record.epoch))? {
            history.lines.push(("committed", at(&row)));
        }
        for was in self.others(record, &format!("settled.epoch = {}", record.epoch))? {
            history.lines.push(("was", was));
        }
        let settled =
            self.texts(&format!("SELECT epoch, outcome FROM files.settled WHERE quarantine_id = {id}"))?;
        for settled in settled {
            let [number, outcome] = settled.as_slice() else { continue };
            history.is_settled = true;
            let by = self.texts(&epoch(number))?.first().map_or_else(String::new, |row| at(row));
            history.lines.push(("settled", format!("{outcome}, {by}")));
            for is_now in self.others(record, &format!("quarantine.epoch = {number}"))? {
                history.lines.push(("is now", is_now));
            }
        }
        if !history.is_settled {
            history.lines.push(("settled", "no".to_owned()));
        }
        Ok(history)
    }

    /// Other records of the same place.
    fn others(&self, record: &QuarantineRecord, condition: &str) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT quarantine.quarantine_id, quarantine.class, quarantine.reason FROM files.quarantine
             LEFT JOIN files.settled ON quarantine.quarantine_id = settled.quarantine_id
             WHERE {condition} AND input = {} AND \"offset\" = {} AND quarantine.quarantine_id <> {}
             ORDER BY quarantine.epoch, {}",
            text(&record.input),
            record.offset,
            text(&record.quarantine_id),
            NUMBER.replace("quarantine_id", "quarantine.quarantine_id")
        );
        let rows = self.texts(&sql)?;
        Ok(rows.iter().map(|row| row.join(", ")).collect())
    }
}

fn at(row: &[String]) -> String {
    match row {
        [epoch, time, cause] => format!("epoch {epoch}, {time}, {cause}"),
        _ => String::new(),
    }
}
