//! The columns of a table as its Delta log says them, and how they may grow.
//!
//! A table outlives the catalog whose dimensions are members of its rows, and the program that made it: columns
//! and members of structs may be added, if they may be null, and never change. A struct may always be null, because
//! files of a time before its first member lack it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a binary column of the log says how many bytes every value has.
const BYTES: &str = "tallybook.bytes";

/// Columns, or members of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Columns {
    #[serde(rename = "type")]
    kind: StructKind,
    fields: Vec<Column>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StructKind {
    Struct,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: ColumnType,
    nullable: bool,
    metadata: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum ColumnType {
    /// `string`, `decimal(38,18)` and the like.
    Plain(String),
    List(Box<List>),
    Struct(Columns),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(rename = "type")]
    kind: ListKind,
    element_type: ColumnType,
    contains_null: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ListKind {
    Array,
}

impl Columns {
    /// The columns of files with an Arrow schema.
    ///
    /// # Errors
    /// The column that has no Delta type.
    pub(super) fn of(schema: &Schema) -> Result<Self, String> {
        Self::of_fields(schema.fields())
    }

    fn of_fields(fields: &Fields) -> Result<Self, String> {
        let fields = fields.iter().map(|field| Column::of(field)).collect::<Result<_, _>>()?;
        Ok(Self { kind: StructKind::Struct, fields })
    }

    /// The Arrow schema that all files of the table can be read with.
    ///
    /// # Errors
    /// The column that has no Arrow type.
    pub(super) fn arrow(&self) -> Result<Schema, String> {
        Ok(Schema::new(self.arrow_fields()?))
    }

    fn arrow_fields(&self) -> Result<Fields, String> {
        self.fields.iter().map(Column::arrow).collect()
    }

    /// These columns and those that `newer` has beyond them.
    ///
    /// # Errors
    /// What has changed otherwise.
    pub(super) fn grown(&self, newer: &Self) -> Result<Self, String> {
        let mut fields = Vec::new();
        for column in &self.fields {
            match newer.column(&column.name) {
                Some(other) => fields.push(column.grown(other)?),
                None if column.nullable => fields.push(column.clone()),
                None => return Err(format!("the column {} is missing", column.name)),
            }
        }
        for column in newer.fields.iter().filter(|column| self.column(&column.name).is_none()) {
            if !column.nullable {
                return Err(format!("the column {} is new and never null", column.name));
            }
            fields.push(column.clone());
        }
        Ok(Self { kind: StructKind::Struct, fields })
    }

    /// Names of the members of a struct.
    pub(super) fn members(&self, name: &str) -> Vec<&str> {
        match self.column(name).map(|column| &column.data_type) {
            Some(ColumnType::Struct(members)) => {
                members.fields.iter().map(|member| member.name.as_str()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.fields.iter().find(|column| column.name == name)
    }
}

impl Column {
    fn of(field: &Field) -> Result<Self, String> {
        let name = field.name().clone();
        let data_type = ColumnType::of(field.data_type()).map_err(|problem| format!("{name}: {problem}"))?;
        let nullable = field.is_nullable() || matches!(data_type, ColumnType::Struct(_));
        let metadata = match field.data_type() {
            DataType::FixedSizeBinary(bytes) => BTreeMap::from([(BYTES.to_owned(), (*bytes).into())]),
            _ => BTreeMap::new(),
        };
        Ok(Self { name, data_type, nullable, metadata })
    }

    fn arrow(&self) -> Result<Field, String> {
        let bytes = self.metadata.get(BYTES).and_then(Value::as_i64);
        let data_type = match bytes.and_then(|bytes| i32::try_from(bytes).ok()) {
            Some(bytes) => DataType::FixedSizeBinary(bytes),
            None => self.data_type.arrow().map_err(|problem| format!("{}: {problem}", self.name))?,
        };
        Ok(Field::new(&self.name, data_type, self.nullable))
    }

    fn grown(&self, newer: &Self) -> Result<Self, String> {
        if newer.nullable && !self.nullable {
            return Err(format!("the column {} may be null", self.name));
        }
        let data_type = self.data_type.grown(&newer.data_type);
        let data_type = data_type.map_err(|problem| format!("the column {}: {problem}", self.name))?;
        Ok(Self { data_type, ..self.clone() })
    }
}

impl ColumnType {
    fn of(data_type: &DataType) -> Result<Self, String> {
        let plain = |name: &str| Ok(Self::Plain(name.to_owned()));
        match data_type {
            DataType::Boolean => plain("boolean"),
            DataType::Int32 => plain("integer"),
            DataType::Int64 => plain("long"),
            DataType::Utf8 => plain("string"),
            DataType::Binary | DataType::FixedSizeBinary(_) => plain("binary"),
            DataType::Date32 => plain("date"),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
                plain("timestamp")
            }
            DataType::Decimal128(precision, scale) => plain(&format!("decimal({precision},{scale})")),
            DataType::Struct(members) => Columns::of_fields(members).map(Self::Struct),
            DataType::List(item) => Ok(Self::List(Box::new(List {
                kind: ListKind::Array,
                element_type: Self::of(item.data_type())?,
                contains_null: item.is_nullable(),
            }))),
            other => Err(format!("{other} is no type of a table")),
        }
    }

    fn arrow(&self) -> Result<DataType, String> {
        match self {
            Self::Struct(members) => members.arrow_fields().map(DataType::Struct),
            Self::List(list) => {
                let item = Field::new("item", list.element_type.arrow()?, list.contains_null);
                Ok(DataType::List(Arc::new(item)))
            }
            Self::Plain(name) => match name.as_str() {
                "boolean" => Ok(DataType::Boolean),
                "integer" => Ok(DataType::Int32),
                "long" => Ok(DataType::Int64),
                "string" => Ok(DataType::Utf8),
                "binary" => Ok(DataType::Binary),
                "date" => Ok(DataType::Date32),
                "timestamp" => Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
                other => decimal(other).ok_or_else(|| format!("{other} is no type of a table of ours")),
            },
        }
    }

    fn grown(&self, newer: &Self) -> Result<Self, String> {
        match (self, newer) {
            (Self::Plain(name), Self::Plain(other)) if name == other => Ok(self.clone()),
            (Self::Struct(members), Self::Struct(newer)) => members.grown(newer).map(Self::Struct),
            (Self::List(list), Self::List(newer)) if list.contains_null || !newer.contains_null => {
                let element_type = list.element_type.grown(&newer.element_type)?;
                Ok(Self::List(Box::new(List { element_type, ..*list.clone() })))
            }
            _ => Err("its type is another".to_owned()),
        }
    }
}

/// The type that `decimal(38,18)` is.
fn decimal(text: &str) -> Option<DataType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    Some(DataType::Decimal128(precision.trim().parse().ok()?, scale.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str, data_type: DataType, nullable: bool) -> Field {
        Field::new(name, data_type, nullable)
    }

    fn dimensions(names: &[&str]) -> Field {
        let members: Fields = names.iter().map(|name| plain(name, DataType::Utf8, true)).collect();
        plain("dimensions", DataType::Struct(members), false)
    }

    fn columns(fields: Vec<Field>) -> Columns {
        Columns::of(&Schema::new(fields)).unwrap()
    }

    #[test]
    fn a_type_of_our_tables_has_a_delta_name_and_back() {
        let item =
            Field::new("item", DataType::Struct(vec![plain("n", DataType::Int32, false)].into()), false);
        let fields = vec![
            plain("flag", DataType::Boolean, false),
            plain("id", DataType::FixedSizeBinary(16), true),
            plain("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            plain("day", DataType::Date32, false),
            plain("amount", DataType::Decimal128(38, 18), false),
            plain("epoch", DataType::Int64, false),
            plain("tiers", DataType::List(Arc::new(item)), false),
            dimensions(&["model"]),
        ];
        let made = columns(fields.clone());
        let text = serde_json::to_string(&made).unwrap();
        let expected = concat!(
            r#"{"type":"struct","fields":["#,
            r#"{"name":"flag","type":"boolean","nullable":false,"metadata":{}},"#,
            r#"{"name":"id","type":"binary","nullable":true,"metadata":{"tallybook.bytes":16}},"#,
            r#"{"name":"time","type":"timestamp","nullable":false,"metadata":{}},"#,
            r#"{"name":"day","type":"date","nullable":false,"metadata":{}},"#,
            r#"{"name":"amount","type":"decimal(38,18)","nullable":false,"metadata":{}},"#,
            r#"{"name":"epoch","type":"long","nullable":false,"metadata":{}},"#,
            r#"{"name":"tiers","type":{"type":"array","elementType":{"type":"struct","fields":["#,
            r#"{"name":"n","type":"integer","nullable":false,"metadata":{}}]},"containsNull":false},"#,
            r#""nullable":false,"metadata":{}},"#,
            r#"{"name":"dimensions","type":{"type":"struct","fields":["#,
            r#"{"name":"model","type":"string","nullable":true,"metadata":{}}]},"#,
            r#""nullable":true,"metadata":{}}]}"#,
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Columns>(&text).unwrap(), made);
        let back: Vec<_> =
            made.arrow().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(back, fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>());
        assert!(Columns::of(&Schema::new(vec![plain("x", DataType::Float64, false)])).is_err());
    }

    #[test]
    fn columns_grow_by_what_may_be_null_and_never_change() {
        let base = || plain("id", DataType::Utf8, false);
        let optional = |data_type| plain("note", data_type, true);
        let cases = [
            (vec![base()], vec![base()], Ok(vec![base()])),
            (
                vec![base()],
                vec![base(), optional(DataType::Utf8)],
                Ok(vec![base(), optional(DataType::Utf8)]),
            ),
            (
                vec![base(), optional(DataType::Utf8)],
                vec![base()],
                Ok(vec![base(), optional(DataType::Utf8)]),
            ),
            (vec![base()], vec![base(), dimensions(&["a"])], Ok(vec![base(), dimensions(&["a"])])),
            (vec![dimensions(&["b"])], vec![dimensions(&["a", "b"])], Ok(vec![dimensions(&["b", "a"])])),
            (vec![dimensions(&["b"])], vec![], Ok(vec![dimensions(&["b"])])),
            (vec![base()], vec![], Err("the column id is missing")),
            (vec![], vec![base()], Err("the column id is new and never null")),
            (vec![base()], vec![plain("id", DataType::Utf8, true)], Err("the column id may be null")),
            (
                vec![optional(DataType::Utf8)],
                vec![optional(DataType::Int64)],
                Err("the column note: its type is another"),
            ),
        ];
        for (before, newer, expected) in cases {
            let grown = columns(before).grown(&columns(newer));
            assert_eq!(grown, expected.map(columns).map_err(str::to_owned));
        }
    }
}
