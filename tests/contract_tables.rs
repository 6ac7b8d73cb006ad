//! Contracts as tables: what a row says counts, or is a problem with its line.

use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, DictionaryArray, Float64Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::Int8Type;
use datafusion::parquet::arrow::ArrowWriter;

use crate::support::{Called, Workplace};

const CATALOG: &str = "
{kind: legal_entity, id: seller}
---
{kind: meter, id: calls, event_type: call, aggregation: count}
---
kind: price_book
id: book
currencies: [USD]
versions: [{version: 1, rates: [{meter: calls, model: per_unit, unit_price: 1}]}]
";

const HEADER: &str = "contract,account,contract_line,legal_entity,currency,price_book";

fn check(table: &[u8]) -> Called {
    let place = Workplace::with_catalog(CATALOG);
    place.write("catalog/contracts.csv", table);
    place.call(&["check", "catalog"])
}

/// The problems of a table, in order.
fn problems(table: &[u8], expected: &[&[&str]]) {
    let called = check(table);
    let shown = String::from_utf8_lossy(table);
    let lines: Vec<&str> = called.stderr.lines().filter(|line| !line.starts_with("error: ")).collect();
    assert_eq!((called.code, lines.len()), (3, expected.len()), "{shown}\n{}", called.stderr);
    for (line, parts) in lines.iter().zip(expected) {
        for part in *parts {
            assert!(line.contains(part), "{shown}\n{part}\n{line}");
        }
    }
}

#[test]
fn rows_of_one_contract_that_differ_are_problems_with_their_line() {
    let cases = [
        ("effective_from", "2026-01-01", "2026-02-01"),
        ("effective_from", "2026-01-01", ""),
        ("effective_to", "", "2026-02-01"),
        ("billing_interval", "quarter", "month"),
        ("billing_anchor", "2026-01-15", "2026-01-16"),
    ];
    for (column, first, second) in cases {
        let row = |account: &str, value: &str| format!("c,{account},l,seller,USD,book,{value}\n");
        let table =
            [format!("{HEADER},{column}\n"), row("a", first), row("b", first), row("d", second)].concat();
        let what = format!("contracts.csv:4: contract c: column {column}: {second:?} differs");
        let mend = "write the same in all rows of a contract, or number a further version";
        problems(table.as_bytes(), &[&[&what, "contracts.csv:2", mend]]);
        let versions = [
            format!("{HEADER},version,effective_from,effective_to\n"),
            "c,a,l,seller,USD,book,1,,2026-02-01\n".to_owned(),
            "c,a,l,seller,USD,book,2,2026-02-01,\n".to_owned(),
        ];
        assert_eq!(check(versions.concat().as_bytes()).code, 0);
    }
    // What is left out is the default.
    let table = format!("{HEADER},billing_interval\nc,a,l,seller,USD,book,\nc,b,l,seller,USD,book,month\n");
    assert_eq!(check(table.as_bytes()).code, 0);
    let table = format!("{HEADER}\nc,a,l,seller,USD,book\nc,b,l,seller,EUR,book\n");
    problems(table.as_bytes(), &[&["contracts.csv:3", "column currency", "differs"]]);
    let table = format!("{HEADER},meters\nc,a,l,seller,USD,book,\nc,b,l,seller,USD,book,calls\n");
    problems(table.as_bytes(), &[&["contracts.csv:3", "the line l has another price book, meters or times"]]);
}

#[test]
fn tables_as_people_save_them() {
    let good = [
        format!("{HEADER}\r\nc,a,l,seller,USD,book\r\n"),
        format!("\u{feff}{HEADER}\nc,a,l,seller,USD,book"),
        format!("{HEADER}\n\"c\",\"a, \"\"x\"\"\",l,seller,USD,book\n"),
        format!("{HEADER}\rc,a,l,seller,USD,book\r"),
    ];
    for table in good {
        let called = check(table.as_bytes());
        assert!(called.stdout.contains("1 contract line, 1 account"), "{table:?}: {}", called.stderr);
    }
    let semicolons = HEADER.replace(',', ";");
    problems(semicolons.as_bytes(), &[&["contracts.csv:1", "no table of contracts", "separated by commas"]]);
    problems(b"id,customer,at,tokens\n", &[&["no table of contracts", "usage belongs in another directory"]]);
    problems(b"", &[&["no table of contracts"]]);
    let table = |rest: &str| format!("{HEADER}{rest}").into_bytes();
    problems(&table(",account\nc,a,l,seller,USD,book,b\n"), &[&[":1", "columns are there twice: account"]]);
    problems(
        &table(",color, version\nc,a,l,seller,USD,book,b,1\n"),
        &[&["a table of contracts has no columns \"color\", \" version\"", "the columns are contract, "]],
    );
    problems(&table("\nc,,l,seller,USD,book\n"), &[&[":2", "column account: \"\": empty"]]);
    problems(
        &table("\nc, a,l,seller,USD,book\n"),
        &[&[":2", "column account: \" a\" begins or ends with a space"]],
    );
    problems(
        &table(",version\nc,a,l,seller,USD,book,1.0\n"),
        &[&[":2", "column version: expected a whole number of zero or more, found \"1.0\""]],
    );
    problems(b"contract,account\n\n\xe4,a\n", &[&["contracts.csv:3", "not UTF-8", "save it as UTF-8"]]);
}

#[test]
fn every_row_has_its_own_problem_and_no_other() {
    let table = format!(
        "{HEADER}\nc,a,l,seller,USD\nc,a,l2,seller,usd,book\nc,b,l,seller,USD,book\nd,e,f,seller,USD,book,x\n\"g,h,i\n"
    );
    problems(
        table.as_bytes(),
        &[
            &["contracts.csv:2: contract c", "the row has 5 fields, the header 6"],
            &["contracts.csv:3: contract c", "currency"],
            &["contracts.csv:5: contract d", "the row has 7 fields, the header 6"],
            &["contracts.csv:6: contract g,h,i\\n: the row has 1 field, the header 6", "every quote closed"],
        ],
    );
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Called {
    let place = Workplace::with_catalog(CATALOG);
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let batch = batch.unwrap();
    let file = File::create(place.path("catalog/contracts.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    place.call(&["check", "catalog"])
}

#[test]
fn parquet_columns_of_many_types() {
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text, text])) };
    let dictionary: DictionaryArray<Int8Type> = ["book", "book"].into_iter().collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("contract", same("c")),
        ("account", Arc::new(Int64Array::from(vec![1, 2]))),
        ("contract_line", Arc::new(LargeStringArray::from(vec!["l", "l"]))),
        ("legal_entity", same("seller")),
        ("currency", same("USD")),
        ("price_book", Arc::new(dictionary)),
        ("effective_from", Arc::new(Date32Array::from(vec![20_454, 20_454]))),
        (
            "effective_to",
            Arc::new(TimestampMicrosecondArray::from(vec![1_798_761_600_000_000; 2]).with_timezone("UTC")),
        ),
        ("billing_anchor", Arc::new(Date32Array::from(vec![None, None]))),
    ];
    let called = parquet(columns.clone());
    assert!(called.stdout.contains("1 contract line, 2 accounts"), "{}", called.stderr);
    columns[6].1 = Arc::new(Date32Array::from(vec![Some(20_454), None]));
    let called = parquet(columns.clone());
    let expected = "contracts.parquet:2: contract c: column effective_from: \"\" differs";
    assert!(called.stderr.starts_with(expected), "{}", called.stderr);
    columns[1].1 = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let called = parquet(columns);
    let expected =
        "contracts.parquet: contracts: columns of floating point numbers: account; write them as texts";
    assert!(called.stderr.starts_with(expected), "{}", called.stderr);
}
