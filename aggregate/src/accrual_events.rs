//! Writes accruals as events (the `CloudEvents` format), one per line, in the order of the table.

use std::io::Write;

use rating::Overflow;
use rating::catalog::Catalog;
use schemas::accrual::ACCRUAL_EVENT_TYPE;

use crate::accrual_record::{GroupRecord, RecordBuffers};
use crate::accruals::AccrualGroup;
use crate::error::AggregateError;
use crate::output::{Output, OutputFile, write_error};

/// Name of the file.
pub const ACCRUAL_EVENTS_FILE: &str = "accruals.ndjson";

/// The accrual events of a run, as they are written.
pub struct AccrualEvents {
    file: OutputFile,
    buffers: RecordBuffers,
    /// Events written; the sequence of each source is gapless because sources follow each other.
    sequence: u64,
    source: String,
    epoch: u64,
}

impl AccrualEvents {
    /// Begins the file, for accruals that an epoch will commit.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn create(output: &Output, epoch: u64) -> Result<Self, AggregateError> {
        Ok(Self {
            file: output.create_file(ACCRUAL_EVENTS_FILE)?,
            buffers: RecordBuffers::default(),
            sequence: 0,
            source: String::new(),
            epoch,
        })
    }

    /// Writes the accruals of groups.
    ///
    /// # Errors
    /// [`AggregateError`] when they cannot be written.
    pub fn append(&mut self, catalog: &Catalog, groups: &[AccrualGroup]) -> Result<(), AggregateError> {
        self.buffers.clear();
        groups.iter().try_for_each(|group| self.append_group(catalog, group))
    }

    fn append_group(&mut self, catalog: &Catalog, group: &AccrualGroup) -> Result<(), AggregateError> {
        let overflow = |Overflow| AggregateError::Overflow("accrual");
        let shared = GroupRecord::new(catalog, group, &mut self.buffers).map_err(overflow)?;
        let source = format!("/accrual/{}", shared.entity.id);
        if source != self.source {
            (self.source, self.sequence) = (source, 0);
        }
        for day in group.days() {
            let record = shared.day(day, &mut self.buffers).map_err(overflow)?;
            let accrual = shared.accrual(day, &record, &self.buffers, self.epoch);
            let accrual = accrual.ok_or(AggregateError::Overflow("accrual"))?;
            self.sequence += 1;
            let event = serde_json::json!({
                "specversion": "1.0",
                "type": ACCRUAL_EVENT_TYPE,
                "source": self.source,
                "id": accrual.accrual_id,
                "subject": shared.line.id,
                "time": accrual.service_period_end,
                "datacontenttype": "application/json",
                "dataschema": "urn:tallybook:schema:accrual:1",
                "sequence": format!("{:020}", self.sequence),
                "partitionkey": format!("{}/{}", shared.entity.id, shared.line.id),
                "data": accrual,
            });
            let written = serde_json::to_writer(&mut self.file, &event)
                .map_err(std::io::Error::from)
                .and_then(|()| self.file.write_all(b"\n"));
            written.map_err(|error| write_error(self.file.path(), error))?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`AggregateError`] when it cannot be written.
    pub fn finish(self) -> Result<(), AggregateError> {
        self.file.finish()
    }
}
