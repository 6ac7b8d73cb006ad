//! What the log says of a file, so that readers need not open it: rows, and bounds of a few columns.
//!
//! Bounds are taken from the footer. The protocol has instants in milliseconds: they are rounded away from each
//! other, so that the bounds hold.

use std::collections::BTreeMap;

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use schemas::date::Date;
use schemas::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Columns that readers look for rows by.
const BOUNDED: [(&str, BoundKind); 4] = [
    ("event_time", BoundKind::Instant),
    ("service_day", BoundKind::Day),
    ("epoch", BoundKind::Number),
    ("account_id", BoundKind::Text),
];

const MICROS_PER_MILLI: i64 = 1_000;

#[derive(Clone, Copy, Debug)]
enum BoundKind {
    Instant,
    Day,
    Number,
    Text,
}

/// What the log says of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileStatistics {
    /// Rows.
    pub(super) num_records: u64,
    /// No value is below.
    #[serde(default)]
    pub(super) min_values: BTreeMap<String, Value>,
    /// No value is above.
    #[serde(default)]
    pub(super) max_values: BTreeMap<String, Value>,
    /// Rows without a value.
    #[serde(default)]
    pub(super) null_count: BTreeMap<String, u64>,
}

/// A bound that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bound {
    Number(i64),
    Text(String),
}

/// Bounds of a column in one row group, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bounds {
    nulls: u64,
    /// None where there are nulls only.
    ends: Option<(Bound, Bound)>,
}

impl FileStatistics {
    /// What a footer says.
    pub(super) fn of(footer: &ParquetMetaData) -> Self {
        let rows = footer.file_metadata().num_rows();
        let mut statistics = Self { num_records: rows.try_into().unwrap_or_default(), ..Self::default() };
        if footer.row_groups().is_empty() {
            return statistics;
        }
        for (name, kind) in BOUNDED {
            let Some(bounds) = bounds_of_file(footer, name) else { continue };
            statistics.null_count.insert(name.to_owned(), bounds.nulls);
            if let Some((min, max)) = bounds.ends {
                statistics.min_values.insert(name.to_owned(), written(kind, &min, false));
                statistics.max_values.insert(name.to_owned(), written(kind, &max, true));
            }
        }
        statistics
    }

    /// The first epoch a row is of, where it is known.
    pub(super) fn first_epoch(&self) -> Option<i64> {
        self.min_values.get("epoch").and_then(Value::as_i64)
    }

    /// The last epoch a row is of, where it is known.
    pub(super) fn last_epoch(&self) -> Option<i64> {
        self.max_values.get("epoch").and_then(Value::as_i64)
    }
}

fn bounds_of_file(footer: &ParquetMetaData, name: &str) -> Option<Bounds> {
    let all = footer.row_groups().iter().map(|group| bounds_of_group(group, name));
    all.reduce(|one, other| Some(one?.and(other?))).flatten()
}

fn bounds_of_group(group: &RowGroupMetaData, name: &str) -> Option<Bounds> {
    let column = group.columns().iter().find(|column| column.column_path().string() == name)?;
    let statistics = column.statistics()?;
    let nulls = statistics.null_count_opt()?;
    let ends = match statistics {
        Statistics::Int64(values) => values
            .min_opt()
            .zip(values.max_opt())
            .map(|(min, max)| (Bound::Number(*min), Bound::Number(*max))),
        Statistics::Int32(values) => values
            .min_opt()
            .zip(values.max_opt())
            .map(|(min, max)| (Bound::Number((*min).into()), Bound::Number((*max).into()))),
        Statistics::ByteArray(values) => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).ok().map(Bound::Text);
            match values.min_opt().zip(values.max_opt()) {
                Some((min, max)) => Some((text(min.data())?, text(max.data())?)),
                None => None,
            }
        }
        _ => return None,
    };
    let only_nulls = u64::try_from(group.num_rows()).is_ok_and(|rows| rows == nulls);
    (ends.is_some() || only_nulls).then_some(Bounds { nulls, ends })
}

impl Bounds {
    fn and(self, other: Self) -> Self {
        let nulls = self.nulls + other.nulls;
        let ends = match (self.ends, other.ends) {
            (Some((min, max)), Some((other_min, other_max))) => {
                Some((min.min(other_min), max.max(other_max)))
            }
            (one, other) => one.or(other),
        };
        Self { nulls, ends }
    }
}

fn written(kind: BoundKind, bound: &Bound, is_upper: bool) -> Value {
    match (kind, bound) {
        (BoundKind::Instant, Bound::Number(micros)) => {
            let millis = micros.div_euclid(MICROS_PER_MILLI);
            let has_rest = is_upper && micros.rem_euclid(MICROS_PER_MILLI) != 0;
            let millis = millis + i64::from(has_rest);
            Timestamp::from_micros(millis * MICROS_PER_MILLI).to_string().into()
        }
        (BoundKind::Day, Bound::Number(days)) => match i32::try_from(*days) {
            Ok(days) => Date::from_days(days).to_string().into(),
            Err(_) => Value::Null,
        },
        (_, Bound::Number(number)) => (*number).into(),
        (_, Bound::Text(text)) => text.as_str().into(),
    }
}
