//! Arrow schemas of the tables equal their committed text.

use std::fmt::Write;

use arrow_schema::{DataType, Field, Schema};
use schemas::id::DimensionName;
use schemas::{accrual, control_total, epoch_table, quarantine, rated_usage, settled_record};

use crate::golden;

#[test]
fn arrow_schemas_are_the_committed_ones() {
    // The members of `dimensions` are those of the catalog's meters.
    let dimensions: Vec<DimensionName> = ["model", "region"].map(|name| name.parse().unwrap()).into();
    let tables = [
        ("rated_usage", rated_usage::arrow_schema(&dimensions)),
        ("accruals", accrual::arrow_schema()),
        ("quarantine", quarantine::arrow_schema()),
        ("control_totals", control_total::arrow_schema()),
        ("epochs", epoch_table::arrow_schema()),
        ("settled", settled_record::arrow_schema()),
    ];
    let files = tables.map(|(table, schema)| (format!("{table}.txt"), text(&schema)));
    golden::check("arrow", &files);
}

/// One column per line: name, type, `null` where it may be missing, extension type.
fn text(schema: &Schema) -> String {
    let mut out = String::new();
    for field in schema.fields() {
        write_field(field, 0, &mut out);
    }
    out
}

fn write_field(field: &Field, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    let data_type = match field.data_type() {
        DataType::List(_) => "List".to_owned(),
        DataType::Struct(_) => "Struct".to_owned(),
        other => other.to_string(),
    };
    write!(out, "{indent}{}: {data_type}", field.name()).unwrap();
    out.push_str(if field.is_nullable() { " null" } else { "" });
    if let Some(extension) = field.extension_type_name() {
        write!(out, " ({extension})").unwrap();
    }
    out.push('\n');
    match field.data_type() {
        DataType::List(item) => write_field(item, depth + 1, out),
        DataType::Struct(members) => members.iter().for_each(|member| write_field(member, depth + 1, out)),
        _ => {}
    }
}
