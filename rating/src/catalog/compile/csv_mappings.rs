//! Checks CSV mappings.

use schemas::csv_mapping::CsvMapping;

use super::Compiler;
use crate::catalog::Located;

impl Compiler {
    pub(super) fn csv_mappings(&mut self, documents: Vec<Located<CsvMapping>>) {
        for Located { document, origin } in documents {
            let path = format!("csv_mapping {}", document.id);
            self.claim_id("csv_mapping", document.id.as_str(), &origin);
            if !document.delimiter.is_ascii() {
                let message = format!("{:?} is not an ASCII character", document.delimiter);
                self.problem(
                    &origin,
                    format!("{path} delimiter"),
                    message,
                    "use a character such as , ; | or a tab",
                );
            }
            if document.time.timezone.is_some() && document.time.epoch.is_some() {
                let message = "a number of seconds has no time zone".to_owned();
                self.problem(&origin, format!("{path} time"), message, "keep timezone or epoch, not both");
            }
            for (position, pattern) in document.files.iter().enumerate() {
                if let Err(error) = glob::Pattern::new(pattern) {
                    let message = format!("{pattern:?} is no pattern: {error}");
                    self.problem(
                        &origin,
                        format!("{path} files[{position}]"),
                        message,
                        "use * and ? for parts of a name",
                    );
                }
            }
            self.catalog.csv_mappings.push(document);
        }
    }
}
