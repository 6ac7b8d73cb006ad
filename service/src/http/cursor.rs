//! Cursors: a place in a stream as text that clients keep and send back, and need not understand.
//!
//! ```text
//! rated_usage-<epoch>-<rows of it>-<check>
//! ```
//!
//! The check is of the ledger as well: a cursor of another ledger, or of another stream, is refused, and so is one of
//! an epoch that the ledger does not have. Nothing is skipped, and nothing given twice, for want of looking.

use aggregate::export::{ExportTable, Position};

use super::problem::Problem;

/// A stream of rows, and the ledger it is of.
#[derive(Clone, Debug)]
pub(super) struct CursorSpace {
    pub(super) ledger_id: String,
    pub(super) table: ExportTable,
}

impl CursorSpace {
    /// Wire name of the stream.
    pub(super) const fn name(&self) -> &'static str {
        match self.table {
            ExportTable::RatedUsage => "rated_usage",
            ExportTable::Accruals => "accruals",
            ExportTable::Quarantine => "quarantine",
        }
    }

    /// A position as text.
    pub(super) fn write(&self, position: Position) -> String {
        let Position { epoch, row } = position;
        format!("{}-{epoch}-{row}-{}", self.name(), self.check(position))
    }

    /// The position that a text is.
    pub(super) fn read(&self, text: &str) -> Result<Position, Problem> {
        let parts: Vec<&str> = text.split('-').collect();
        let [name, epoch, row, check] = parts.as_slice() else { return Err(self.refused()) };
        let (Ok(epoch), Ok(row)) = (epoch.parse(), row.parse()) else { return Err(self.refused()) };
        let position = Position { epoch, row };
        if *name != self.name() || *check != self.check(position) {
            return Err(self.refused());
        }
        Ok(position)
    }

    fn check(&self, Position { epoch, row }: Position) -> String {
        let hash = blake3::hash(format!("{} {} {epoch} {row}", self.ledger_id, self.name()).as_bytes());
        hash.to_hex().chars().take(8).collect()
    }

    fn refused(&self) -> Problem {
        let detail = format!(
            "this is no cursor of {} in this ledger: send the `cursor` of an answer as it was given, or none to begin \
             with the first row",
            self.name()
        );
        Problem::bad_request("bad_cursor", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_taken_for_one() {
        let space = |ledger_id: &str, table| CursorSpace { ledger_id: ledger_id.to_owned(), table };
        let rated = space("a", ExportTable::RatedUsage);
        for position in [Position::START, Position { epoch: u64::MAX, row: u64::MAX }] {
            assert_eq!(rated.read(&rated.write(position)).unwrap(), position);
        }
        let text = rated.write(Position { epoch: 12, row: 7 });
        assert!(space("b", ExportTable::RatedUsage).read(&text).is_err());
        assert!(space("a", ExportTable::Accruals).read(&text).is_err());
        for wrong in
            ["", "0", "rated_usage-12-7", &text.replace("12", "13"), &text.replace('7', "8"), "a-b-c-d"]
        {
            assert!(rated.read(wrong).is_err(), "{wrong}");
        }
    }
}
