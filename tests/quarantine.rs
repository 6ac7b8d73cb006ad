//! Quarantine as a user sees it: listed, shown, exported, and decided again once the catalog is mended.

use serde_json::Value;

use crate::support::{Workplace, event, query};

/// A seller and two accounts; what else there is depends on what was mended.
fn catalog(meters: &str, accounts: &str, rates: &str, mapping: &str, subject: &str) -> String {
    format!(
        "kind: legal_entity
id: seller
---
{{kind: meter, id: used, event_type: use, aggregation: sum, value: $.v}}
---
{{kind: meter, id: users, event_type: use, aggregation: unique, value: $.user}}
---
{meters}
---
kind: price_book
id: book
currencies: [USD]
versions: [{{version: 1, rates: [{{meter: used, model: graduated, tiers: [{{up_to: '10', unit_price: '2'}}, {{unit_price: '0.5'}}]}}, {rates}]}}]
---
{{kind: contract, id: c, accounts: [{accounts}], legal_entity: seller, currency: USD, lines: [{{id: line, price_book: book}}]}}
---
kind: csv_mapping
id: rows
files: ['rows.csv']
source: {{value: rows}}
event_id: file_and_line
type: {{value: use}}
subject: {{column: customer}}
time: {{column: at, timezone: UTC}}
data: {{{mapping}}}
---
kind: csv_mapping
id: others
files: ['others.csv']
source: {{value: others}}
event_id: {{column: id}}
type: {{value: other}}
subject: {{column: {subject}}}
time: {{column: at, timezone: UTC}}
"
    )
}

const RATES: &str =
    "{meter: users, model: per_unit, unit_price: '3'}, {meter: calls, model: per_unit, unit_price: '0.1'}";

/// The account b is unknown, users have no rate, calls are read from the wrong property, and CSV rows have no user or no account.
fn broken() -> String {
    let calls = "{kind: meter, id: calls, event_type: call, aggregation: sum, value: $.wrong}";
    let rates = "{meter: calls, model: per_unit, unit_price: '0.1'}";
    catalog(calls, "a", rates, "v: v", "client")
}

fn mended() -> String {
    let calls = "{kind: meter, id: calls, event_type: call, aggregation: sum, value: $.seconds}";
    catalog(calls, "a, b", RATES, "v: v, user: user", "customer")
}

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("broken/catalog.yaml", broken());
    place.write("mended/catalog.yaml", mended());
    let time = |day: usize| format!("2026-10-{day:02}T12:00:00Z");
    let used = |id: usize, account: &str, user: usize| {
        let data = format!(r#"{{"v":{id},"user":"u{user}"}}"#);
        event(&format!("use-{id}"), "use", account, &time(1 + id % 20), &data)
    };
    let call = |id: usize, account: &str| {
        event(&format!("call-{id}"), "call", account, &time(3), &format!(r#"{{"seconds":{id}}}"#))
    };
    let mut lines = Vec::new();
    for id in 1..30 {
        lines.push(used(id, if id % 3 == 0 { "b" } else { "a" }, id % 4));
        lines.push(call(id, if id % 7 == 0 { "b" } else { "a" }));
    }
    // A duplicate and a conflict of each kind, and what no catalog helps.
    lines.extend([used(1, "a", 1), used(1, "a", 2), call(2, "a"), call(2, "b"), call(7, "stranger")]);
    lines.extend([
        "no event \u{1b}[31m".to_owned(),
        event("late", "use", "stranger", &time(4), r#"{"v":1,"user":"u"}"#),
    ]);
    place.write("usage.ndjson", lines.join("\n"));
    let others = "customer,client,at,id\na,,2026-10-05T00:00:00Z,1\na,,2026-10-05T00:00:00Z,1\n";
    place.write("others.csv", others);
    place.write(
        "rows.csv",
        "customer,at,v,user\na,2026-10-05T00:00:00Z,4,u9\nb,2026-10-06T00:00:00Z,5,u9\nb,soon,6,u9\n",
    );
    place
}

fn run(place: &Workplace, catalog: &str, data: &str) -> Value {
    call(place, &["run", "-q", "--json", "-c", catalog, "-d", data, "usage.ndjson", "rows.csv", "others.csv"])
}

fn call(place: &Workplace, arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(place, arguments)).unwrap()
}

fn printed(place: &Workplace, arguments: &[&str]) -> String {
    let called = place.call(arguments);
    assert_eq!(called.code, 0, "{arguments:?}: {}", called.stderr);
    called.stdout
}

fn replay(place: &Workplace, data: &str, arguments: &[&str]) -> Value {
    call(place, &[&["quarantine", "replay", "--json", "-c", "mended", "-d", data], arguments].concat())
}

/// What a directory says that does not depend on when its events were decided.
fn results(place: &Workplace, data: &str) -> Vec<Vec<Vec<String>>> {
    let queries = [
        "SELECT * FROM revenue ORDER BY 1, 2, 3, 4",
        "SELECT * FROM conservation ORDER BY 1, 2, 3",
        "SELECT * FROM reconciliation ORDER BY 1, 2",
        "SELECT class, reason, rows FROM quarantine_reasons ORDER BY 1, 2",
        "SELECT source, event_id, meter_id, account_id, quantity FROM rated_usage ORDER BY 1, 2, 3",
        "SELECT contract_line_id, meter_id, service_day, net_amount, net_amount_exact, metered_quantity, event_count,
                billable_quantity FROM accruals_current ORDER BY 1, 2, 3",
    ];
    queries.map(|sql| query(&place.path(data), sql)).into()
}

#[test]
fn cons_1_dedup_1_a_replay_comes_to_what_a_run_with_the_mended_catalog_comes_to() {
    let place = place();
    run(&place, "broken", "late");
    run(&place, "mended", "at-once");
    assert_ne!(results(&place, "late"), results(&place, "at-once"));
    let report = replay(&place, "late", &[]);
    assert_eq!(report["epochs"], serde_json::json!([3, 3]), "{report}");
    assert_eq!(
        [&report["duplicate"], &report["quarantined"], &report["open"]],
        [&Value::from(2), &Value::from(3), &Value::from(5)],
        "{report}"
    );
    let expected = results(&place, "at-once");
    for (late, at_once) in results(&place, "late").into_iter().zip(&expected) {
        assert_eq!(late, *at_once);
    }
    let negative =
        "SELECT * FROM conservation WHERE least(received, rated, unrated, duplicate, conflict, rejected) < 0
                    OR missing <> 0";
    assert!(query(&place.path("late"), negative).is_empty());

    // Once more, and after the inputs were read again: nothing is counted twice.
    let again = replay(&place, "late", &[]);
    assert_eq!([&again["epochs"], &again["rated"]], [&Value::Null, &Value::from(0)], "{again}");
    assert_eq!(run(&place, "mended", "late")["epochs"], Value::Null);
    assert_eq!(results(&place, "late"), expected);
    let text =
        printed(&place, &["quarantine", "replay", "-c", "mended", "-d", "late", "--reason", "no_rate"]);
    assert!(text.contains("no such record is open"), "{text}");
}

#[test]
fn cons_1_records_are_chosen_by_class_reason_input_or_id() {
    let place = place();
    run(&place, "broken", "late");
    run(&place, "mended", "at-once");
    let input = replay(&place, "late", &["--input", "rows.csv", "--class", "rejected"]);
    let counts = ["decided", "rated", "open"].map(|count| input[count].as_u64());
    assert_eq!(counts, [Some(3), Some(2), Some(1)], "{input}");
    assert_eq!(input["open_by_reason"], serde_json::json!({ "bad_time": 1 }));
    let ids = query(
        &place.path("late"),
        "SELECT quarantine_id FROM open_quarantine WHERE reason = 'unknown_account' LIMIT 2",
    );
    let ids: Vec<&str> = ids.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(replay(&place, "late", &ids)["decided"], 2);
    let settled = place.call(&["quarantine", "replay", "-c", "mended", "-d", "late", ids[0]]);
    assert!(settled.stdout.contains("no such record is open"), "{}", settled.stdout);
    for class in ["rejected", "conflict", "unrated"] {
        replay(&place, "late", &["--class", class]);
    }
    assert_eq!(results(&place, "late"), results(&place, "at-once"));
    let unknown = place.call(&["quarantine", "replay", "-c", "mended", "-d", "late", "9-9"]);
    assert_eq!(unknown.code, 6, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no record \"9-9\""), "{}", unknown.stderr);
    let reason = place.call(&["quarantine", "list", "-d", "late", "--reason", "no_luck"]);
    assert_eq!(reason.code, 2);
    assert!(reason.stderr.contains("there is no such reason"), "{}", reason.stderr);
    // Where there is no data, none is made.
    assert_eq!(place.call(&["quarantine", "replay", "-c", "mended", "-d", "nowhere"]).code, 6);
    assert!(!place.path("nowhere").exists());
}

#[test]
fn dedup_1_a_replay_that_is_killed_and_repeated_counts_once() {
    let place = place();
    run(&place, "broken", "killed");
    run(&place, "mended", "at-once");
    let arguments = ["quarantine", "replay", "-c", "mended", "-d", "killed"];
    for delay in [5, 20, 40, 80, 120, 160, 200, 300] {
        let mut child = place.command(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    printed(&place, &arguments);
    assert_eq!(results(&place, "killed"), results(&place, "at-once"));
}

#[test]
fn records_are_listed_shown_and_exported_without_what_they_would_do_to_a_terminal() {
    let place = place();
    let shown = printed(
        &place,
        &["run", "-q", "-c", "broken", "-d", "data", "usage.ndjson", "rows.csv", "others.csv"],
    );
    assert!(shown.contains("quarantine list --data data"), "{shown}");
    let table = printed(&place, &["quarantine", "list", "-d", "data", "--limit", "3"]);
    assert!(table.contains("missing_quantity") && table.contains("3 rows"), "{table}");
    let csv = printed(&place, &["quarantine", "list", "-d", "data", "-f", "csv", "--class", "conflict"]);
    assert_eq!(csv.lines().count(), 2, "{csv}");
    assert!(csv.contains("usage.ndjson:60"), "{csv}");

    let malformed =
        query(&place.path("data"), "SELECT quarantine_id FROM quarantine WHERE reason = 'malformed_json'");
    let show = printed(&place, &["quarantine", "show", "-d", "data", &malformed[0][0]]);
    assert!(show.contains("no event \\u{1b}[31m") && !show.contains('\u{1b}'), "{show}");
    assert!(show.contains("What to do: send each event as one JSON object."), "{show}");
    let row = "SELECT quarantine_id FROM quarantine WHERE input = 'rows.csv' AND reason = 'bad_time'";
    let row = query(&place.path("data"), row);
    let show = printed(&place, &["quarantine", "show", "-d", "data", &row[0][0]]);
    assert!(show.contains("customer,at,v,user\nb,soon,6,u9\n"), "{show}");
    assert_eq!(place.call(&["quarantine", "show", "-d", "data", "1-999"]).code, 6);

    let count = || query(&place.path("data"), "SELECT count(*) FROM open_quarantine")[0][0].clone();
    let exported = printed(&place, &["quarantine", "export", "-d", "data"]);
    assert_eq!(exported.lines().count().to_string(), count());
    for line in exported.lines() {
        let record: schemas::quarantine::QuarantineRecord = serde_json::from_str(line).unwrap();
        assert_eq!(record.length, record.bytes.len() as u64);
    }

    replay(&place, "data", &[]);
    let settled = printed(&place, &["quarantine", "list", "-d", "data", "--settled", "-f", "ndjson"]);
    let outcomes: Vec<Value> = settled.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(outcomes.iter().all(|record| record["settled_by_epoch"] == 3));
    let quarantined = outcomes.iter().find(|record| record["outcome"] == "quarantined").unwrap();
    let id = quarantined["quarantine_id"].as_str().unwrap();
    let was = printed(&place, &["quarantine", "show", "-d", "data", id]);
    assert!(was.contains("settled      quarantined, epoch 3") && was.contains("is now       3-"), "{was}");
    let now = was.lines().find_map(|line| line.strip_prefix("is now       ")).unwrap();
    let now = printed(&place, &["quarantine", "show", "-d", "data", now.split(',').next().unwrap()]);
    assert!(now.contains(&format!("was          {id}, rejected")), "{now}");
    let settled = printed(&place, &["quarantine", "export", "-d", "data", "--settled"]);
    assert_eq!(settled.lines().count(), outcomes.len());
}
