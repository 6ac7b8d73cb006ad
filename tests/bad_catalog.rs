//! A catalog with many mistakes: each is named, with its place and how to mend it, in one go.

use crate::support::Workplace;

const MISTAKES: &str = "kind: legal_entity
id: seller
timezone: Mars/Olympus
---
kind: legal_entity
id: buyer
---
kind: meter
id: tokens
event_type: tokens
aggregation: sum
---
kind: meter
id: calls
event_type: call
aggregation: count
decimal: 2
---
kind: meter
id: seats
event_type: seat
aggregation: unique
value: $.user
---
kind: price_book
id: book
currencies: [USD]
versions:
  - version: 1
    rates:
      - {meter: seats, model: graduated, tiers: [{up_to: 10, unit_price: 1}, {up_to: 5, unit_price: 2}]}
      - {meter: wishes, model: per_unit, unit_price: 1}
  - version: 2
    effective_from: 2026-01-01
    rates:
      - {meter: seats, model: per_unit, unit_price: 1, package_size: 10}
---
kind: price_book
id: overlapping
currencies: [USD]
versions:
  - {version: 1, effective_to: 2026-03-01, rates: [{meter: seats, model: per_unit, unit_price: 1}]}
  - {version: 2, effective_from: 2026-02-01, rates: [{meter: seats, model: per_unit, unit_price: 1}]}
---
kind: contract
id: one
accounts: [a]
legal_entity: buyer
currency: XYZ
lines: [{id: one-1, price_book: book}]
---
kind: contract
id: two
accounts: [b]
legal_entity: nobody
currency: USD
lines: [{id: two-1, price_book: overlapping}]
---
kind: contract
id: three
accounts: [c]
legal_entity: buyer
currency: USD
lines:
  - {id: three-1, price_book: overlapping}
  - {id: three-2, price_book: overlapping}
---
kind: voucher
id: v
";

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let place = Workplace::with_catalog(MISTAKES);
    let called = place.call(&["check", "catalog"]);
    assert_eq!(called.code, 3);
    // Where, and what.
    let expected = [
        ("catalog.yaml:3", "Mars/Olympus"),
        ("catalog.yaml:8", "meter tokens"),
        ("catalog.yaml:17", "decimal"),
        ("catalog.yaml:25", "tiers[1]"),
        ("catalog.yaml:25", "wishes"),
        ("catalog.yaml:25", "package_size"),
        ("catalog.yaml:38", "overlapping"),
        ("catalog.yaml:49", "XYZ"),
        ("catalog.yaml:52", "nobody"),
        ("catalog.yaml:59", "two lines"),
        ("catalog.yaml:68", "voucher"),
    ];
    for (origin, what) in expected {
        let is_there = |line: &str| {
            line.starts_with(&format!("{origin}:")) && line.contains(what) && line.contains("; ")
        };
        assert!(called.stderr.lines().any(is_there), "{origin} {what}\n{}", called.stderr);
    }
    assert!(called.stderr.contains("problems"), "{}", called.stderr);
    let run = place.call(&["run", "-q", "-c", "catalog", "nothing.ndjson"]);
    assert_eq!((run.code, run.stderr.lines().last()), (3, called.stderr.lines().last()));
}

#[test]
fn what_is_no_catalog_is_explained() {
    let place = Workplace::new();
    place.write("empty/readme.txt", "");
    place.write("broken/catalog.yaml", "kind: [meter\n");
    place.write("latin/catalog.yaml", b"kind: meter # caf\xe9\n");
    place.write("csv/contracts.csv", "contract,account\nc,a\n");
    place.write("comments/catalog.yaml", "# nothing yet\n---\n");
    place.write("file.yaml", "kind: legal_entity\n");
    let cases = [
        ("missing", "missing: No such file"),
        ("empty", "holds no catalog document"),
        ("broken", "catalog.yaml"),
        ("latin", "not UTF-8"),
        ("csv", "contracts.csv"),
        ("comments", "holds no catalog document"),
        ("file.yaml", "a catalog is a directory"),
    ];
    for (directory, message) in cases {
        let called = place.call(&["check", directory]);
        assert_eq!(called.code, 3, "{directory}");
        assert!(called.stderr.contains(message), "{directory}: {}", called.stderr);
    }
}

/// A seller, two meters, a price book and a contract; every line can be written wrong.
const SOUND: &str = "{kind: legal_entity, id: seller}
---
{kind: meter, id: calls, event_type: call, aggregation: count}
---
{kind: meter, id: tokens, event_type: tokens, aggregation: sum, value: $.tokens}
---
kind: price_book
id: book
currencies: [USD]
versions:
  - version: 1
    rates:
      - {meter: calls, model: per_unit, unit_price: 1}
      - {meter: tokens, model: per_unit, unit_price: 2}
---
kind: contract
id: one
accounts: [a]
legal_entity: seller
currency: USD
lines: [{id: one-1, price_book: book, meters: [calls, tokens]}]
";

/// What `check` says of a catalog, without the mend.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let place = Workplace::new();
    for (name, content) in files {
        place.write(&format!("catalog/{name}"), content);
    }
    let called = place.call(&["check", "catalog"]);
    let code = if called.stderr.is_empty() { 0 } else { 3 };
    assert_eq!(called.code, code, "{}", called.stderr);
    let problems = called.stderr.lines().filter(|line| !line.starts_with("error: "));
    problems.map(|line| line.split_once("; ").map_or(line, |(problem, _)| problem).to_owned()).collect()
}

#[test]
fn what_cannot_be_read_is_one_problem_and_shifts_no_other() {
    type Change = (&'static str, &'static str);
    let cases: &[(&[Change], &[&str])] = &[
        (&[], &[]),
        (
            &[("unit_price: 1", "unit_price: cheap"), ("unit_price: 2", "amount: 2")],
            &[
                "c.yaml:7: price_book book versions[0].rates[1].amount: the model per_unit does not use amount",
                "c.yaml:7: price_book book versions[0].rates[1].unit_price: it is missing",
                "c.yaml:13: price_book book versions[0].rates[0].unit_price: \"cheap\" is not a decimal number",
            ],
        ),
        (
            &[("unit_price: 1", "unit_price: cheap"), ("unit_price: 2", "unit_price: dear")],
            &[
                "c.yaml:13: price_book book versions[0].rates[0].unit_price: \"cheap\" is not a decimal number",
                "c.yaml:14: price_book book versions[0].rates[1].unit_price: \"dear\" is not a decimal number",
            ],
        ),
        (
            &[("version: 1", "version: first")],
            &[
                "c.yaml:11: price_book book versions[0].version: expected a whole number from 0 to 4294967295, found \"first\"",
            ],
        ),
        (
            &[("id: seller}", "id: seller, timezone: Mars}")],
            &["c.yaml:1: legal_entity seller timezone: \"Mars\" is not an IANA time zone"],
        ),
        (
            &[("aggregation: count", "aggregation: counts")],
            &["c.yaml:3: meter calls aggregation: unknown variant `counts`"],
        ),
        (&[("kind: price_book", "kind: price_bok")], &["c.yaml:7: kind: there is no kind \"price_bok\""]),
        (
            &[("id: book\n", "id: [book]\n"), ("id: seller}", "id: }")],
            &[
                "c.yaml:1: legal_entity id: expected a text, found nothing",
                "c.yaml:8: price_book id: expected a text, found a list",
            ],
        ),
        // A name that nothing has is a problem all the same.
        (
            &[("version: 1", "version: first"), ("price_book: book", "price_book: bok")],
            &[
                "c.yaml:11: price_book book versions[0].version",
                "c.yaml:16: contract one lines[0].price_book: there is no price book bok",
            ],
        ),
    ];
    for (changes, expected) in cases {
        let mut catalog = SOUND.to_owned();
        for (from, to) in *changes {
            assert!(catalog.contains(from), "{from}");
            catalog = catalog.replace(from, to);
        }
        let problems = problems(&[("c.yaml", &catalog)]);
        let is_expected = |(problem, expected): (&String, &&str)| problem.starts_with(expected);
        assert!(
            problems.len() == expected.len() && problems.iter().zip(*expected).all(is_expected),
            "{changes:?}: {problems:#?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let (sellers, rest) = SOUND.split_once("---\n").unwrap();
    let broken = format!("{sellers}\n]");
    assert_eq!(problems(&[("a.yaml", &broken), ("c.yaml", rest)]).len(), 1);
}

/// Waiting for somebody to write to it would be waiting for ever.
#[cfg(unix)]
#[test]
fn a_named_pipe_is_a_problem_and_not_waited_for() {
    let place = Workplace::new();
    place.write("catalog/a.yaml", SOUND);
    let pipe = place.path("catalog/b.csv");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let told = place.call(&["check", "catalog"]).stderr;
    assert!(told.starts_with("b.csv: this is no regular file; move it out of the catalog\n"), "{told}");
}

#[test]
fn a_key_that_is_there_twice_is_found_among_many() {
    let keys: Vec<String> = (0..60_000).map(|key| format!("  key_{key}: column\n")).collect();
    let mapping = format!("kind: csv_mapping\ndata:\n{}  key_7: other\n", keys.concat());
    let problems = problems(&[("a.yaml", SOUND), ("b.yaml", &mapping)]);
    assert_eq!(problems, ["b.yaml:60003: document: the key key_7 is there twice"]);
}

#[test]
fn problems_of_lines_have_the_line() {
    let entity = r#"{"kind":"legal_entity","id":"seller"}"#;
    let meter = r#"{"kind":"meter","id":"m","event_type":"e","aggregation":"most"}"#;
    let book = r#"{"kind":"price_book","id":"b","currencies":["USD"],"versions":[{"version":1,"rates":[{"meter":"m","model":"none"}]}]}"#;
    let contract = r#"{"id":"c","accounts":["a"],"currency":"USD","lines":[]}"#;
    let lines = ["\u{feff}", entity, "\n\n", meter, "\n", book, "\n", contract, "\n"].concat();
    let problems = problems(&[("c.NDJSON", &lines)]);
    let expected = [
        "c.NDJSON:3: meter m aggregation: unknown variant `most`",
        "c.NDJSON:4: price_book b versions[0].rates[0].model: unknown variant `none`",
        "c.NDJSON:5: contract: this line is no contract: missing field `legal_entity`",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected) && !problem.contains("column"), "{problem}");
    }
}

#[test]
fn what_is_something_else_is_one_problem() {
    let events = r#"{"specversion":"1.0","id":"1","data":{}}"#.to_owned() + "\n";
    let cases = [
        (events.repeat(5_000), "c.ndjson:1: contract: this line is a usage event"),
        (r#"[{"kind":"legal_entity","id":"a"}]"#.to_owned(), "c.json:1: document: a list is no document"),
        ("- {kind: legal_entity, id: a}\n- {}".to_owned(), "c.yaml:1: document: a list is no document"),
    ];
    for (content, expected) in cases {
        let name = expected.split(':').next().unwrap();
        assert_eq!(problems(&[(name, &content)]), [expected]);
    }
}

/// Many problems end, and one that holds what would write to a terminal is one line.
#[test]
fn problems_are_lines_that_a_person_can_read() {
    let place = Workplace::with_catalog(&"{kind: \"voucher\\e[2J\\n\", id: v}\n---\n".repeat(3_000));
    let called = place.call(&["check", "catalog"]);
    assert_eq!((called.code, called.stderr.lines().count()), (3, 1_002));
    assert!(called.stderr.lines().next().unwrap().contains("voucher"), "{}", called.stderr);
    assert!(!called.stderr.contains('\u{1b}'));
    assert!(called.stderr.ends_with("and 2000 more\nerror: the catalog has 3000 problems\n"));
}
