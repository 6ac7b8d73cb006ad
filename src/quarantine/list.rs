//! `tallybook quarantine list`: records by reason, and one by one.

use std::io::{Write, stdout};

use anyhow::Result;

use super::selection::{NUMBER, Selection};
use crate::command_line::{ListArguments, RowFormat};
use crate::summary::{program, shell_word};

/// Most records of a table, when nobody says.
const TABLE_RECORDS: u64 = 100;

/// Lists records.
///
/// # Errors
/// What cannot be read or written.
pub(crate) fn list(arguments: &ListArguments) -> Result<()> {
    let (runtime, session) = super::open(&arguments.data)?;
    let selection = Selection::new(&arguments.filter, arguments.settled);
    let sql = Sql { selection, is_settled: arguments.settled };
    let mut to = stdout().lock();
    if arguments.format != RowFormat::Table {
        let limit = arguments.limit.map_or_else(String::new, |limit| format!("LIMIT {limit}"));
        return runtime.block_on(session.answer(&sql.records(&limit), &mut to, arguments.format));
    }
    let count = format!("SELECT 1 FROM files.quarantine WHERE {} LIMIT 1", sql.selection.sql());
    let is_empty = runtime.block_on(session.rows(&count))?.iter().all(|batch| batch.num_rows() == 0);
    if is_empty {
        let what = if arguments.settled { "no such record is settled" } else { "no such record is open" };
        writeln!(to, "{}: {what}", arguments.data.display())?;
        return Ok(());
    }
    runtime.block_on(session.answer(&sql.reasons(), &mut to, RowFormat::Table))?;
    writeln!(to)?;
    let limit = format!("LIMIT {}", arguments.limit.unwrap_or(TABLE_RECORDS));
    runtime.block_on(session.answer(&sql.records(&limit), &mut to, RowFormat::Table))?;
    let data = shell_word(&arguments.data.display().to_string());
    writeln!(to, "\nAll of a record: {} quarantine show --data {data} ID", program())?;
    Ok(())
}

struct Sql {
    selection: Selection,
    is_settled: bool,
}

impl Sql {
    fn reasons(&self) -> String {
        let outcome = if self.is_settled { ", outcome" } else { "" };
        format!(
            "SELECT class, reason{outcome}, count(*) AS records FROM {} WHERE {}
             GROUP BY class, reason{outcome} ORDER BY records DESC, class, reason{outcome}",
            self.table(),
            self.selection.sql()
        )
    }

    fn records(&self, limit: &str) -> String {
        let outcome = if self.is_settled { "outcome, settled_by_epoch, " } else { "" };
        format!(
            "SELECT quarantine_id, class, reason, {outcome}event_time, source, event_id, account_id, meter_id,
                    CASE WHEN line IS NULL THEN input ELSE concat(input, ':', line) END AS place, detail
             FROM {} WHERE {} ORDER BY epoch, {NUMBER} {limit}",
            self.table(),
            self.selection.sql()
        )
    }

    const fn table(&self) -> &'static str {
        if self.is_settled {
            "files.quarantine JOIN (SELECT quarantine_id AS settled_id, outcome, epoch AS settled_by_epoch
                                    FROM files.settled) ON quarantine_id = settled_id"
        } else {
            "files.quarantine"
        }
    }
}
