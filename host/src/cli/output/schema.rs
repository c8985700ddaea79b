//! The columns and keys of a table, for people and for programs.

use serde::Serialize;
use tombolo::bindings::types::{Column, Generation, LogicalType, TableSchema};
use tombolo::printable::printable;

use super::report;

/// A table, as in the event `schema`.
#[derive(Clone, Debug, Serialize)]
pub struct Schema<'a> {
    table: &'a str,
    columns: Vec<SchemaColumn<'a>>,
    primary_key: &'a [String],
    unique_keys: &'a [Vec<String>],
    foreign_keys: Vec<Reference<'a>>,
}

#[cfg(test)]
impl Schema<'static> {
    /// Returns a table with one column and one key of each kind.
    pub fn sample() -> Self {
        Self {
            table: "orders",
            columns: vec![SchemaColumn {
                name: "id",
                logical: "integer",
                origin: "sqlite:INTEGER",
                nullable: false,
                default: None,
                generation: "none",
            }],
            primary_key: &[],
            unique_keys: &[],
            foreign_keys: vec![Reference {
                columns: &[],
                referenced_table: "customers",
                referenced_columns: &[],
            }],
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct SchemaColumn<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    logical: &'a str,
    origin: &'a str,
    nullable: bool,
    default: Option<&'a str>,
    generation: &'a str,
}

#[derive(Clone, Debug, Serialize)]
struct Reference<'a> {
    columns: &'a [String],
    referenced_table: &'a str,
    referenced_columns: &'a [String],
}

impl<'a> From<&'a TableSchema> for Schema<'a> {
    fn from(schema: &'a TableSchema) -> Self {
        Self {
            table: &schema.table,
            columns: schema.columns.iter().map(SchemaColumn::from).collect(),
            primary_key: &schema.primary_key,
            unique_keys: &schema.unique_keys,
            foreign_keys: schema
                .foreign_keys
                .iter()
                .map(|key| Reference {
                    columns: &key.columns,
                    referenced_table: &key.referenced_table,
                    referenced_columns: &key.referenced_columns,
                })
                .collect(),
        }
    }
}

impl<'a> From<&'a Column> for SchemaColumn<'a> {
    fn from(column: &'a Column) -> Self {
        Self {
            name: &column.name,
            logical: logical(&column.logical),
            origin: &column.origin,
            nullable: column.nullable,
            default: column.default.as_deref(),
            generation: generation(&column.generation),
        }
    }
}

fn logical(logical: &LogicalType) -> &str {
    match logical {
        LogicalType::Boolean => "boolean",
        LogicalType::Integer => "integer",
        LogicalType::Float => "float",
        LogicalType::Decimal => "decimal",
        LogicalType::Text => "text",
        LogicalType::Bytes => "bytes",
        LogicalType::Date => "date",
        LogicalType::Time => "time",
        LogicalType::Timetz => "timetz",
        LogicalType::Timestamp => "timestamp",
        LogicalType::Timestamptz => "timestamptz",
        LogicalType::Interval => "interval",
        LogicalType::Uuid => "uuid",
        LogicalType::Json => "json",
        LogicalType::Any => "any",
        LogicalType::Other(name) => name,
    }
}

fn generation(generation: &Generation) -> &str {
    match generation {
        Generation::None => "none",
        Generation::Computed => "computed",
        Generation::IdentityAlways => "identity-always",
        Generation::IdentityDefault => "identity-default",
        Generation::Other(name) => name,
    }
}

/// Formats the columns and keys of a table for people.
pub fn text(schema: &TableSchema) -> String {
    let header = [
        "column",
        "type",
        "declared as",
        "null",
        "default",
        "generated",
    ];
    let columns = schema.columns.iter().map(|column| {
        let generation = generation(&column.generation);
        vec![
            column.name.clone(),
            logical(&column.logical).to_owned(),
            column.origin.clone(),
            if column.nullable { "yes" } else { "no" }.to_owned(),
            column.default.clone().unwrap_or_default(),
            if generation == "none" { "" } else { generation }.to_owned(),
        ]
    });
    let mut lines = vec![report::table(&header, header.len(), columns).to_string()];
    if !schema.primary_key.is_empty() {
        lines.push(format!("primary key ({})", list(&schema.primary_key)));
    }
    for key in &schema.unique_keys {
        lines.push(format!("unique ({})", list(key)));
    }
    for key in &schema.foreign_keys {
        let mut line = format!(
            "foreign key ({}) references {}",
            list(&key.columns),
            printable(&key.referenced_table)
        );
        if !key.referenced_columns.is_empty() {
            line.push_str(&format!(" ({})", list(&key.referenced_columns)));
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn list(columns: &[String]) -> String {
    printable(&columns.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::event::Event;
    use super::*;
    use tombolo::bindings::types::ForeignKey;

    fn orders() -> TableSchema {
        let column = |name: &str, generation| Column {
            name: name.to_owned(),
            logical: LogicalType::Integer,
            origin: "sqlite:INTEGER".to_owned(),
            nullable: false,
            default: None,
            generation,
        };
        TableSchema {
            table: "orders".to_owned(),
            columns: vec![
                column("id", Generation::IdentityDefault),
                column("customer", Generation::None),
            ],
            primary_key: vec!["id".to_owned()],
            unique_keys: vec![vec!["id".to_owned(), "customer".to_owned()]],
            foreign_keys: vec![ForeignKey {
                columns: vec!["customer".to_owned()],
                referenced_table: "customers".to_owned(),
                referenced_columns: Vec::new(),
            }],
            enums: Vec::new(),
        }
    }

    #[test]
    fn people_see_columns_and_keys() {
        let text = text(&orders());
        for part in [
            "identity-default",
            "sqlite:INTEGER",
            "\nprimary key (id)\n",
            "\nunique (id, customer)\n",
            "\nforeign key (customer) references customers",
        ] {
            assert!(text.contains(part), "{part:?}: {text}");
        }
    }

    #[test]
    fn programs_see_the_same() {
        let schema = orders();
        assert_eq!(
            serde_json::to_value(Event::Schema((&schema).into())).unwrap(),
            serde_json::json!({
                "event": "schema",
                "table": "orders",
                "columns": [
                    {"name": "id", "type": "integer", "origin": "sqlite:INTEGER", "nullable": false,
                     "default": null, "generation": "identity-default"},
                    {"name": "customer", "type": "integer", "origin": "sqlite:INTEGER", "nullable": false,
                     "default": null, "generation": "none"},
                ],
                "primary_key": ["id"],
                "unique_keys": [["id", "customer"]],
                "foreign_keys": [
                    {"columns": ["customer"], "referenced_table": "customers", "referenced_columns": []},
                ],
            })
        );
    }
}
