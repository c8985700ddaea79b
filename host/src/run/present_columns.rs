//! Fits the description of rejected rows to their table as it is now: somebody may have changed it for their sake.

use crate::bindings::types::{Cell, Column, LogicalType, TableSchema};
use crate::database::{Origin, Reject};
use crate::rows::RowBlock;

/// Returns a table as its rows arrived, with the columns as they are read now.
///
/// A column of SQLite that has values of other types than it announced has values of any type. If one column does not exist
/// here and one column here did not arrive, it was renamed.
pub fn adapt(mut incoming: TableSchema, local: &TableSchema, rejects: &[Reject]) -> TableSchema {
    for reject in rejects {
        let cells = RowBlock::parse_row(&reject.cells).unwrap_or_default();
        for (column, cell) in incoming.columns.iter_mut().zip(&cells) {
            let is_sqlite = matches!(Origin::parse(&column.origin), Origin::Sqlite(_));
            if is_sqlite && !announces(&column.logical, cell) {
                column.logical = LogicalType::Any;
            }
        }
    }
    if let Some((old, new)) = renamed(&incoming, local) {
        rename(&mut incoming, &old, &new);
    }
    incoming
}

/// Whether a column with these values can have a cell.
fn announces(logical: &LogicalType, cell: &Cell) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Boolean(_) => matches!(logical, LogicalType::Boolean | LogicalType::Any),
        Cell::Integer(_) => matches!(
            logical,
            LogicalType::Integer
                | LogicalType::Date
                | LogicalType::Time
                | LogicalType::Timestamp
                | LogicalType::Timestamptz
                | LogicalType::Any
        ),
        Cell::Real(_) => matches!(logical, LogicalType::Float | LogicalType::Any),
        Cell::Text(_) => matches!(
            logical,
            LogicalType::Decimal
                | LogicalType::Text
                | LogicalType::Timetz
                | LogicalType::Interval
                | LogicalType::Json
                | LogicalType::Any
                | LogicalType::Other(_)
        ),
        Cell::Bytes(_) => matches!(
            logical,
            LogicalType::Bytes | LogicalType::Uuid | LogicalType::Any
        ),
    }
}

/// Returns the old and the new name of the one column that was renamed; none if it is not known which one it is.
fn renamed(incoming: &TableSchema, local: &TableSchema) -> Option<(String, String)> {
    let only = |columns: &[Column], others: &[Column]| {
        let is_other = |column: &&Column| others.iter().all(|other| other.name != column.name);
        let mut only = columns.iter().filter(is_other);
        let first = only.next()?.name.clone();
        only.next().is_none().then_some(first)
    };
    let old = only(&incoming.columns, &local.columns)?;
    let new = only(&local.columns, &incoming.columns)?;
    Some((old, new))
}

fn rename(table: &mut TableSchema, old: &str, new: &str) {
    let names = table.columns.iter_mut().map(|column| &mut column.name);
    let keys = table.unique_keys.iter_mut().flatten();
    let foreign = table.foreign_keys.iter_mut();
    let foreign = foreign.flat_map(|key| &mut key.columns);
    let names = names
        .chain(&mut table.primary_key)
        .chain(keys)
        .chain(foreign);
    for name in names.filter(|name| *name == old) {
        new.clone_into(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::{ForeignKey, Generation};

    fn table(columns: &[(&str, &str)]) -> TableSchema {
        let columns = columns.iter().map(|(name, origin)| Column {
            name: (*name).to_owned(),
            logical: LogicalType::Integer,
            origin: (*origin).to_owned(),
            nullable: true,
            default: None,
            generation: Generation::None,
        });
        TableSchema {
            table: "t".to_owned(),
            columns: columns.collect(),
            primary_key: vec!["id".to_owned()],
            unique_keys: vec![vec!["n".to_owned()]],
            foreign_keys: vec![ForeignKey {
                columns: vec!["n".to_owned()],
                referenced_table: "p".to_owned(),
                referenced_columns: vec!["n".to_owned()],
            }],
            enums: Vec::new(),
        }
    }

    fn reject(cells: &[Cell]) -> Reject {
        Reject {
            run: String::new(),
            table: "t".to_owned(),
            row: 1,
            key: String::new(),
            reason: String::new(),
            cells: RowBlock::encode_row(cells),
        }
    }

    #[test]
    fn values_of_other_types_make_a_column_of_sqlite_one_of_any_type() {
        let incoming = table(&[
            ("id", "sqlite:INTEGER"),
            ("n", "sqlite:INTEGER"),
            ("m", "pg:int8"),
        ]);
        let text = || Cell::Text("a".to_owned());
        let rejects = [
            reject(&[Cell::Integer(1), Cell::Null, text()]),
            reject(&[Cell::Integer(2), text(), Cell::Null]),
        ];
        let adapted = adapt(incoming.clone(), &incoming, &rejects);
        let logical: Vec<_> = adapted.columns.iter().map(|one| &one.logical).collect();
        let (integer, any) = (&LogicalType::Integer, &LogicalType::Any);
        assert_eq!(logical, [integer, any, integer]);
    }

    #[test]
    fn one_renamed_column_is_known_and_two_are_not() {
        let incoming = table(&[("id", ""), ("n", "")]);
        let adapted = adapt(incoming.clone(), &table(&[("id", ""), ("number", "")]), &[]);
        assert_eq!(
            adapted.columns.last().map(|one| one.name.as_str()),
            Some("number")
        );
        assert_eq!(adapted.unique_keys, [["number"]]);
        let references: Vec<_> = adapted
            .foreign_keys
            .iter()
            .map(|key| &key.columns)
            .collect();
        assert_eq!(references, [&["number"]]);
        let other = table(&[("id", ""), ("number", ""), ("more", "")]);
        assert_eq!(adapt(incoming.clone(), &other, &[]), incoming);
        assert_eq!(
            adapt(incoming.clone(), &table(&[("id", "")]), &[]),
            incoming
        );
    }
}
