//! The SQL of a merge, read by people.

use crate::bindings::types::{Column, ColumnRule, LogicalType};
use crate::bindings::types::{Generation, SetPlan, TableSchema, UpdateRule, ValueSource};
use crate::database::CheckedPlan;
use crate::database::sqlite::catalog::Table;
use crate::database::sqlite::catalog::constraints::Key;
use crate::database::sqlite::write::merge_sql::*;

fn column(name: &str, generation: Generation) -> Column {
    Column {
        name: name.to_owned(),
        logical: LogicalType::Any,
        origin: "sqlite:".to_owned(),
        nullable: true,
        default: None,
        generation,
    }
}

/// `k` (a key that ignores case), `a"b`, and `sum`, which is computed.
fn table() -> Table {
    Table {
        schema: TableSchema {
            table: "t 1".to_owned(),
            columns: vec![
                column("k", Generation::None),
                column("a\"b", Generation::None),
                column("sum", Generation::Computed),
            ],
            primary_key: vec!["k".to_owned()],
            unique_keys: vec![],
            foreign_keys: vec![],
            enums: Vec::new(),
        },
        storage: vec![],
        declared: vec![],
        keys: vec![Key {
            columns: vec![("k".to_owned(), Some("NOCASE".to_owned()))],
        }],
        without_rowid: false,
    }
}

fn incoming() -> TableSchema {
    let mut incoming = table().schema;
    incoming.columns.truncate(2);
    incoming
}

fn plan(source: ValueSource, only_if_newer: Option<&str>) -> CheckedPlan {
    let columns = [ColumnRule {
        column: "a\"b".to_owned(),
        source,
    }];
    let plan = SetPlan {
        key: vec!["k".to_owned()],
        regenerate_key: false,
        update: Some(UpdateRule {
            columns: columns.into(),
            only_if_newer: only_if_newer.map(str::to_owned),
        }),
    };
    CheckedPlan::of_tests(&plan, &incoming())
}

#[test]
fn the_statements_match_by_the_key_and_compare_images() {
    let merge = Merge::new(
        &incoming(),
        &table(),
        &plan(ValueSource::Coalesce, Some("a\"b")),
    )
    .unwrap();
    assert_eq!(
        merge.update().unwrap(),
        "UPDATE OR ABORT main.\"t 1\" AS t SET \"a\"\"b\" = coalesce(s.c1, t.\"a\"\"b\") FROM temp.tombolo_staging AS s \
         WHERE s.row BETWEEN ?1 AND ?2 AND t.\"k\" = s.c0 COLLATE \"NOCASE\" AND (typeof(t.\"a\"\"b\") <> typeof(coalesce(s.c1, t.\"a\"\"b\")) \
         OR t.\"a\"\"b\" COLLATE BINARY IS NOT (coalesce(s.c1, t.\"a\"\"b\")))"
    );
    assert_eq!(
        merge.insert(true),
        "INSERT OR ABORT INTO main.\"t 1\" (\"k\", \"a\"\"b\") SELECT s.c0, s.c1 FROM temp.tombolo_staging AS s \
         WHERE s.row BETWEEN ?1 AND ?2 AND NOT EXISTS (SELECT 1 FROM main.\"t 1\" AS t WHERE t.\"k\" = s.c0 COLLATE \"NOCASE\") ORDER BY s.row"
    );
    assert_eq!(
        merge.stage(),
        "INSERT INTO temp.tombolo_staging (row, cells, c0, c1) VALUES (?, ?, ?, ?)"
    );
    // Rows that are not newer stay as they are.
    assert_eq!(
        merge.leave_existing().unwrap(),
        "DELETE FROM temp.tombolo_staging AS s WHERE EXISTS (SELECT 1 FROM main.\"t 1\" AS t \
         WHERE t.\"k\" = s.c0 COLLATE \"NOCASE\" AND (t.\"a\"\"b\" < s.c1) IS NOT TRUE)"
    );
}

#[test]
fn a_regenerated_key_is_left_out() {
    let plan = SetPlan {
        key: vec!["k".to_owned()],
        regenerate_key: true,
        update: None,
    };
    let plan = CheckedPlan::of_tests(&plan, &incoming());
    let merge = Merge::new(&incoming(), &table(), &plan).unwrap();
    assert_eq!(
        merge.insert(true),
        "INSERT OR ABORT INTO main.\"t 1\" (\"a\"\"b\") SELECT s.c1 FROM temp.tombolo_staging AS s \
         WHERE s.row BETWEEN ?1 AND ?2 ORDER BY s.row"
    );
    let mut only_key = incoming();
    only_key.columns.truncate(1);
    let merge = Merge::new(&only_key, &table(), &plan).unwrap();
    assert!(merge.insert(true).contains("(\"k\") SELECT NULL FROM"));
}

#[test]
fn what_does_not_fit_the_table_is_refused() {
    let take = plan(ValueSource::TakeIncoming, None);
    let refused = |incoming: &TableSchema, plan: &CheckedPlan| {
        Merge::new(incoming, &table(), plan)
            .err()
            .unwrap()
            .to_string()
    };
    let mut unknown = incoming();
    unknown.columns.push(column("x", Generation::None));
    assert!(refused(&unknown, &take).contains("no column \"x\""));
    let mut computed = incoming();
    computed.columns.push(column("sum", Generation::None));
    assert!(refused(&computed, &take).contains("computed"));
    let other_key = SetPlan {
        key: vec!["a\"b".to_owned()],
        regenerate_key: false,
        update: None,
    };
    let other_key = CheckedPlan::of_tests(&other_key, &incoming());
    assert!(refused(&incoming(), &other_key).contains("nor unique"));
}
