//! Columns that must hold every value of their source.

use super::*;

fn wide(dialect: &Dialect, table: &TableSchema, widen: &[&str]) -> (String, Vec<String>) {
    let widen: Vec<String> = widen.iter().map(|&name| name.to_owned()).collect();
    let plan = create_table(dialect, table, &options(&[], &widen)).unwrap();
    parsed(dialect, &plan);
    (plan.before[0].sql.clone(), plan.not_carried)
}

#[test]
fn widened_columns_of_sqlite_become_text_in_postgres() {
    let declared = [
        "", "INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC", "BOOLEAN", "DATETIME",
    ];
    for declared in declared {
        let column = Column {
            nullable: false,
            ..with_default(
                column("v", LogicalType::Any, &format!("sqlite:{declared}")),
                "7",
            )
        };
        let table = table(vec![column], &[]);
        let (sql, lost) = wide(&Dialect::Postgres, &table, &["v"]);
        assert!(sql.contains("\"v\" text NOT NULL"), "{sql}");
        assert!(lost[0].contains(declared), "{lost:?}");
        assert!(lost[1].contains("its default"), "{lost:?}");
    }
}

#[test]
fn only_named_columns_of_sqlite_are_widened() {
    let kept = [
        ("id", "sqlite:INTEGER", "\"id\" bigint GENERATED"),
        ("other", "sqlite:INTEGER", "\"other\" bigint"),
        ("pg", "pg:bigint", "\"pg\" bigint"),
    ];
    let mut columns: Vec<Column> = kept
        .iter()
        .map(|(name, origin, _)| column(name, LogicalType::Integer, origin))
        .collect();
    columns[0] = numbered(columns[0].clone());
    let table = table(columns, &["id"]);
    let (sql, _) = wide(&Dialect::Postgres, &table, &["id", "pg", "no such column"]);
    for (_, _, definition) in kept {
        assert!(sql.contains(definition), "{definition}: {sql}");
    }
    let all = ["id", "other", "pg"];
    assert_eq!(
        wide(&Dialect::Sqlite, &table, &all),
        wide(&Dialect::Sqlite, &table, &[])
    );
}
