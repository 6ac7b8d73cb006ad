//! `GET /`: what the service does, for people. The page comes with what it shows; its script asks `GET /v1/status` for
//! what follows, and finds by attributes where it belongs.
//!
//! Where there are tokens the page is public and empty: it asks for a token, and keeps it as long as its tab is open.

use std::fmt::Write;

use schemas::printable::printable;
use serde_json::Value;

use crate::http::status::Status;

/// The page, with places for what it shows.
const PAGE: &str = include_str!("assets/status.html");

/// A list of the status as a table.
struct Table {
    /// Member of the status.
    rows: &'static str,
    title: &'static str,
    /// What is said where there are no rows.
    none: &'static str,
    columns: &'static [Column],
}

/// A column: a member of its rows, its title, and how it is shown. The script knows the same kinds.
struct Column(&'static str, &'static str, Kind);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// Bytes, in the largest unit that has one of them.
    Bytes,
    /// How long ago, from milliseconds.
    Age,
    Time,
    Truth,
    /// Amounts of several currencies.
    Money,
    /// What tells charges of one meter apart.
    Group,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Time => "time",
            Self::Truth => "truth",
            Self::Money => "money",
            Self::Group => "group",
        }
    }
}

const BYTE_UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

const TABLES: [Table; 5] = [
    Table {
        rows: "charges",
        title: "Largest charges",
        none: "No usage has a price yet.",
        columns: &[
            Column("account_id", "Account", Kind::Text),
            Column("meter_id", "Meter", Kind::Text),
            Column("group", "Group", Kind::Group),
            Column("billing_period_start", "Period from", Kind::Text),
            Column("events", "Events", Kind::Number),
            Column("quantity", "Usage", Kind::Number),
            Column("amount", "Amount", Kind::Number),
            Column("currency", "", Kind::Text),
        ],
    },
    Table {
        rows: "meters",
        title: "Meters",
        none: "No usage has a price yet.",
        columns: &[
            Column("meter_id", "Meter", Kind::Text),
            Column("events", "Events", Kind::Number),
            Column("quantity", "Usage", Kind::Number),
            Column("unit", "Unit", Kind::Text),
            Column("amounts", "Amounts", Kind::Money),
        ],
    },
    Table {
        rows: "refused",
        title: "Refused, or without a price",
        none: "Nothing since the start.",
        columns: &[
            Column("reason", "Reason", Kind::Text),
            Column("class", "Class", Kind::Text),
            Column("count", "Times", Kind::Number),
            Column("mend", "What to do", Kind::Text),
        ],
    },
    Table {
        rows: "events",
        title: "Last events",
        none: "None since the start.",
        columns: &[
            Column("stored_at", "Counted at", Kind::Time),
            Column("subject", "Account", Kind::Text),
            Column("type", "Type", Kind::Text),
            Column("source", "Source", Kind::Text),
            Column("id", "Id", Kind::Text),
        ],
    },
    Table {
        rows: "epochs",
        title: "Last epochs",
        none: "None since the start.",
        columns: &[
            Column("epoch", "Epoch", Kind::Number),
            Column("recorded_at", "Committed at", Kind::Time),
            Column("counts.received", "Events", Kind::Number),
            Column("counts.rated", "Rated", Kind::Number),
            Column("counts.unrated", "Unrated", Kind::Number),
            Column("counts.rejected", "Rejected", Kind::Number),
            Column("is_accrued", "Accrued", Kind::Truth),
        ],
    },
];

/// The page, with a status if it may be shown.
pub(super) fn page(status: Option<&Status>) -> String {
    let shown = status.map(|status| serde_json::to_value(status).unwrap_or_default()).unwrap_or_default();
    let state = match status {
        None => "unknown",
        Some(status) if status.is_taking() => "good",
        Some(_) => "bad",
    };
    let tables: String = TABLES.iter().map(|table| table.html(&shown)).collect();
    // What is put in is escaped, and is looked through for no further places.
    let mut page = String::with_capacity(PAGE.len() + tables.len());
    for part in PAGE.split("{{") {
        let Some((place, rest)) = part.split_once("}}") else {
            page.push_str(part);
            continue;
        };
        match place {
            "tables" => page.push_str(&tables),
            "bars" => page.push_str(&bars(&shown)),
            "level" => page.push_str(state),
            "hidden" => page.push_str(if status.is_some() { "" } else { "hidden" }),
            path => page.push_str(&escaped(&cell(at(&shown, path), kind_of(path)))),
        }
        page.push_str(rest);
    }
    page
}

/// How a single value is shown.
fn kind_of(path: &str) -> Kind {
    match path {
        "state" | "version" => Kind::Text,
        "last_commit_age_ms" => Kind::Age,
        _ if path.ends_with("_bytes") => Kind::Bytes,
        _ => Kind::Number,
    }
}

impl Table {
    fn html(&self, status: &Value) -> String {
        let rows = status.get(self.rows).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut html = format!(
            "<section class=\"card\" id=\"{}\"><h2>{}</h2><div class=\"wide\"><table><thead><tr>",
            self.rows, self.title
        );
        for Column(path, title, kind) in self.columns {
            let _ = write!(
                html,
                "<th scope=\"col\" data-column=\"{path}\" data-kind=\"{}\">{title}</th>",
                kind.name()
            );
        }
        let _ = write!(html, "</tr></thead><tbody data-rows=\"{}\">", self.rows);
        for row in rows {
            html.push_str("<tr>");
            for Column(path, _, kind) in self.columns {
                let _ = write!(
                    html,
                    "<td data-kind=\"{}\">{}</td>",
                    kind.name(),
                    escaped(&cell(at(row, path), *kind))
                );
            }
            html.push_str("</tr>");
        }
        let hidden = if rows.is_empty() { "" } else { " hidden" };
        let _ = write!(html, "</tbody></table></div><p class=\"none\"{hidden}>{}</p></section>", self.none);
        html
    }
}

/// The value at a path of names.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// A value as text. The script writes the same.
fn cell(value: &Value, kind: Kind) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match kind {
        Kind::Text => text,
        Kind::Number => grouped(&text),
        Kind::Bytes => value.as_u64().map(bytes).unwrap_or_default(),
        Kind::Age => value.as_u64().map(age).unwrap_or_default(),
        // 2026-11-22T00:47:01.123456Z, to the second.
        Kind::Time => text.replacen('T', " ", 1).get(..19).unwrap_or_default().to_owned(),
        Kind::Truth => (if value == &Value::Bool(true) { "yes" } else { "" }).to_owned(),
        Kind::Money => {
            let money = |money: &Value| {
                let amount = cell(at(money, "amount"), Kind::Number);
                format!("{amount} {}", cell(at(money, "currency"), Kind::Text))
            };
            value.as_array().into_iter().flatten().map(money).collect::<Vec<_>>().join(", ")
        }
        Kind::Group => {
            let member = |(name, value): (&String, &Value)| format!("{name}={}", cell(value, Kind::Text));
            value.as_object().into_iter().flatten().map(member).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A number with commas before every third digit of its whole part; no digit is left out.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut text = String::from(sign);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && position < whole && (whole - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 35.2 GiB: a decimal, rounded down.
fn bytes(bytes: u64) -> String {
    let (mut unit, mut size) = (0_usize, 1_u64);
    while bytes / size >= 1024 && unit + 1 < BYTE_UNITS.len() {
        (unit, size) = (unit + 1, size * 1024);
    }
    let name = BYTE_UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        format!("{bytes} {name}")
    } else {
        format!("{}.{} {name}", bytes / size, bytes % size * 10 / size)
    }
}

/// 4.1 s ago, 12 min ago: rounded down.
fn age(milliseconds: u64) -> String {
    match milliseconds / 1_000 {
        seconds @ 0..60 => format!("{seconds}.{} s ago", milliseconds % 1_000 / 100),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3_600),
    }
}

/// Events by second as a picture: a bar each, in parts of the highest.
fn bars(status: &Value) -> String {
    let seconds =
        status.get("events_by_second").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let counts: Vec<i64> = seconds.iter().filter_map(Value::as_i64).collect();
    let highest = counts.iter().copied().max().unwrap_or_default().max(1);
    let bar = |(position, count): (usize, &i64)| {
        let height = count.max(&0) * 100 / highest;
        format!("<rect x=\"{position}\" y=\"{}\" width=\".7\" height=\"{height}\"/>", 100 - height)
    };
    counts.iter().enumerate().map(bar).collect()
}

/// Text for a page: what would be markup or do something is shown.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn f77_what_is_shown_is_text() {
        let cases = [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;"),
            ("a\r\n\u{1b}[31mb\u{202e}", "a\\r\\n\\u{1b}[31mb\\u{202e}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn numbers_keep_all_their_digits() {
        let cases = [
            ("", ""),
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567.000001000", "-1,234,567.000001000"),
            ("123456789012345678901234567890.5", "123,456,789,012,345,678,901,234,567,890.5"),
        ];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn values_as_they_are_shown() {
        let cases = [
            (json!("2026-11-22T00:47:01.123456Z"), Kind::Time, "2026-11-22 00:47:01"),
            (json!(0), Kind::Bytes, "0 B"),
            (json!(1023), Kind::Bytes, "1023 B"),
            (json!(1536), Kind::Bytes, "1.5 KiB"),
            (json!(36_005_908_480_u64), Kind::Bytes, "33.5 GiB"),
            (json!(u64::MAX), Kind::Bytes, "16777215.9 TiB"),
            (json!(null), Kind::Bytes, ""),
            (json!(4_199), Kind::Age, "4.1 s ago"),
            (json!(60_000), Kind::Age, "1 min ago"),
            (json!(7_200_000), Kind::Age, "2 h ago"),
            (json!(true), Kind::Truth, "yes"),
            (json!(false), Kind::Truth, ""),
            (json!(null), Kind::Number, ""),
            (
                json!([{ "amount": "1000.5", "currency": "EUR" }, { "amount": "2", "currency": "USD" }]),
                Kind::Money,
                "1,000.5 EUR, 2 USD",
            ),
            (json!({ "model": "gpt", "region": null }), Kind::Group, "model=gpt, region="),
        ];
        for (value, kind, expected) in cases {
            assert_eq!(cell(&value, kind), expected);
        }
    }

    #[test]
    fn a_page_without_a_status_has_every_table_and_no_data() {
        let page = page(None);
        assert!(!page.contains("{{") && !page.contains("<td"), "{page}");
        for table in &TABLES {
            assert!(page.contains(&format!("data-rows=\"{}\"", table.rows)), "{}", table.rows);
        }
    }
}
