//! Which records, in SQL.

use schemas::quarantine::QuarantineClass;

use crate::command_line::RecordFilter;

/// The number of a record within its epoch.
pub(super) const NUMBER: &str = "CAST(split_part(quarantine_id, '-', 2) AS BIGINT)";

/// Records that are chosen.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    conditions: Vec<String>,
}

/// A text in SQL.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Selection {
    /// Records that a filter lets through, of those that are settled or of those that are not.
    pub(super) fn new(filter: &RecordFilter, is_settled: bool) -> Self {
        let open = if is_settled { "" } else { "NOT " };
        let mut conditions =
            vec![format!("quarantine_id {open}IN (SELECT quarantine_id FROM files.settled)")];
        if let Some(class) = filter.class {
            conditions.push(format!("class = {}", text(QuarantineClass::from(class).name())));
        }
        if let Some(reason) = &filter.reason {
            conditions.push(format!("reason = {}", text(reason)));
        }
        if let Some(input) = &filter.input {
            let (whole, end) = (text(input), text(&format!("/{input}")));
            conditions.push(format!("(input = {whole} OR ends_with(input, {end}))"));
        }
        Self { conditions }
    }

    /// Of these, those with one of some ids.
    pub(super) fn with_ids(mut self, ids: &[String]) -> Self {
        if !ids.is_empty() {
            let ids: Vec<_> = ids.iter().map(|id| text(id)).collect();
            self.conditions.push(format!("quarantine_id IN ({})", ids.join(", ")));
        }
        self
    }

    /// Of these, those that meet a condition.
    pub(super) fn with(mut self, condition: impl Into<String>) -> Self {
        self.conditions.push(condition.into());
        self
    }

    /// The condition.
    pub(super) fn sql(&self) -> String {
        self.conditions.join(" AND ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_stay_texts() {
        let filter = RecordFilter { input: Some("it's; DROP".to_owned()), ..RecordFilter::default() };
        let sql = Selection::new(&filter, false).with_ids(&["1-1' OR ''='".to_owned()]).sql();
        assert!(sql.contains("(input = 'it''s; DROP' OR ends_with(input, '/it''s; DROP'))"), "{sql}");
        assert!(sql.ends_with("quarantine_id IN ('1-1'' OR ''''=''')"), "{sql}");
    }
}
