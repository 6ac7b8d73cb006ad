//! Checks CSV mappings.

use schemas::csv_mapping::CsvField;

use super::Compiler;
use crate::catalog::Located;

impl Compiler<'_> {
    pub(super) fn csv_mappings(&mut self) {
        for Located { document, origin } in &self.documents.csv_mappings {
            let path = format!("csv_mapping {}", document.id);
            self.claim_id("csv_mapping", document.id.as_str(), origin);
            if !document.delimiter.is_ascii() {
                let message = format!("{:?} is not an ASCII character", document.delimiter);
                self.problem(
                    origin,
                    format!("{path} delimiter"),
                    message,
                    "use a character such as , ; | or a tab",
                );
            }
            if matches!(document.delimiter, '"' | '\n' | '\r' | '\0') {
                let message = format!("{:?} separates no fields", document.delimiter);
                let mend = "use a character such as , ; | or a tab";
                self.problem(origin, format!("{path} delimiter"), message, mend);
            }
            let (source, event_type, subject) = (&document.source, &document.event_type, &document.subject);
            for (attribute, field) in [("source", source), ("type", event_type), ("subject", subject)] {
                if matches!(field, CsvField::Value(text) if text.is_empty()) {
                    let message = "the value is empty, and every event needs one".to_owned();
                    self.problem(
                        origin,
                        format!("{path} {attribute}"),
                        message,
                        "write a value, or name a column",
                    );
                }
            }
            if document.time.timezone.is_some() && document.time.epoch.is_some() {
                let message = "a number of seconds has no time zone".to_owned();
                self.problem(origin, format!("{path} time"), message, "keep timezone or epoch, not both");
            }
            for (position, pattern) in document.files.iter().enumerate() {
                if pattern.contains('/') {
                    let message =
                        format!("{pattern:?} fits no file, because names are compared without directory");
                    let mend = "write the part after the last /";
                    self.problem(origin, format!("{path} files[{position}]"), message, mend);
                }
                if let Err(error) = glob::Pattern::new(pattern) {
                    let message = format!("{pattern:?} is no pattern: {error}");
                    self.problem(
                        origin,
                        format!("{path} files[{position}]"),
                        message,
                        "use * and ? for parts of a name",
                    );
                }
            }
            self.catalog.csv_mappings.push(document.clone());
        }
    }
}
