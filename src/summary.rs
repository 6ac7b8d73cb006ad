//! What is shown at the end of a run: where every event went, what it amounts to, and what to do next.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::report::RunReport;

/// Shows a report as tables.
///
/// # Errors
/// What writing fails with.
pub(crate) fn show_report(to: &mut impl Write, report: &RunReport, data: &Path) -> io::Result<()> {
    if report.inputs_known > 0 {
        let known = count(
            report.inputs_known,
            "input was read by an earlier run",
            "inputs were read by earlier runs",
        );
        writeln!(to, "{known}: what is counted is not read again.\n")?;
    }
    let run = &report.run;
    let counts = run.counts;
    let mut events = table(&["events", "", "of which"]);
    for (outcome, number, reasons) in [
        ("received", counts.received, String::new()),
        ("rated", counts.rated, String::new()),
        ("duplicate", counts.duplicate, String::new()),
        ("conflict", counts.conflict, String::new()),
        ("rejected", counts.rejected, reasons(&run.rejected_by_reason)),
        ("unrated", counts.unrated, reasons(&run.unrated_by_reason)),
    ] {
        events.add_row([outcome.to_owned(), grouped(&number.to_string()), reasons]);
    }
    align_right(&mut events, &[1]);
    writeln!(to, "{events}\n")?;

    let mut amounts = table(&["currency", "rated exactly", "to post"]);
    for amount in &run.amounts {
        amounts.add_row([amount.currency.to_string(), grouped(&amount.exact), grouped(&amount.posted)]);
    }
    align_right(&mut amounts, &[1, 2]);
    if !run.amounts.is_empty() {
        writeln!(to, "{amounts}\n")?;
    }
    let rows = |rows: u64| grouped(&rows.to_string());
    writeln!(
        to,
        "Balanced: received = rated + duplicate + conflict + rejected + unrated; rated usage = accruals."
    )?;
    match report.epochs {
        None => writeln!(to, "Nothing new: {} is as it was.", data.display())?,
        Some((first, last)) => {
            let epochs =
                if first == last { format!("epoch {first}") } else { format!("epochs {first} to {last}") };
            writeln!(
                to,
                "Committed to {} as {epochs}: {} rows of rated usage, {} accruals, {} in quarantine.",
                data.display(),
                rows(run.rated_usage_rows),
                rows(run.accrual_rows),
                rows(run.quarantine_rows),
            )?;
        }
    }
    if report.data.counts != counts {
        let received = grouped(&report.data.counts.received.to_string());
        writeln!(to, "It holds {received} events in all.")?;
    }
    writeln!(to)
}

/// Shows the commands worth trying on a data directory.
///
/// # Errors
/// What writing fails with.
pub(crate) fn show_next_commands(to: &mut impl Write, report: &RunReport, data: &Path) -> io::Result<()> {
    let program = program();
    let query =
        |sql: &str| format!("{program} query --data {} {sql}", shell_word(&data.display().to_string()));
    writeln!(to, "Next:")?;
    writeln!(to, "  {}", query("\"SELECT * FROM revenue ORDER BY 1, 2, 3, 4\""))?;
    if report.data.quarantine_rows > report.data.settled_rows {
        let data = shell_word(&data.display().to_string());
        writeln!(to, "  {program} quarantine list --data {data}")?;
    }
    writeln!(to, "  {}", query("").trim_end())
}

/// Shows the commands that run a generated workload.
///
/// # Errors
/// What writing fails with.
pub(crate) fn next_run(to: &mut impl Write, workload: &Path) -> io::Result<()> {
    let part = |name: &str| shell_word(&workload.join(name).display().to_string());
    writeln!(
        to,
        "Next:\n  {} run --catalog {} --data {} {}",
        program(),
        part("catalog"),
        part("data"),
        part("usage")
    )
}

/// How this program was called, so that the commands shown work as they are.
pub(crate) fn program() -> String {
    if env::var_os("CARGO_MANIFEST_DIR").is_some() {
        let release = if cfg!(debug_assertions) { "" } else { "--release " };
        return format!("cargo run {release}--");
    }
    env::args().next().map_or_else(|| "tallybook".to_owned(), |name| shell_word(&name))
}

/// A word as a shell takes it.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if text.bytes().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// An empty table with names of columns.
pub(crate) fn table(names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(names);
    table
}

/// Puts the numbers of columns to the right.
pub(crate) fn align_right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Counts by reason in a line, the most frequent first.
pub(crate) fn reasons(counts: &BTreeMap<String, i64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let reasons: Vec<_> =
        counts.iter().map(|(reason, count)| format!("{} {reason}", grouped(&count.to_string()))).collect();
    reasons.join(", ")
}

/// A number of things.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(&number.to_string()), if number == 1 { one } else { many })
}

/// A decimal number with its whole digits in groups of three.
pub(crate) fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut shown = String::from(sign);
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + fraction
}

/// A duration as people say it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_groups_of_three() {
        let cases = [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567.8901", "-1,234,567.8901"),
            ("123456", "123,456"),
        ];
        for (number, shown) in cases {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn durations() {
        for (millis, shown) in [(0, "0.0 s"), (1_250, "1.2 s"), (59_999, "59 s"), (61_000, "1 min 1 s")] {
            assert_eq!(show_duration(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn words_of_a_shell() {
        assert_eq!(shell_word("a/b-c.d"), "a/b-c.d");
        assert_eq!(shell_word("it's here"), r"'it'\''s here'");
    }
}
