#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod enums;
mod hostile;
mod made;

use sqlparser::ast::{ColumnDef, CreateTable, DataType, Statement as Ast};
use sqlparser::dialect::{Dialect as Grammar, PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::parser::{Parser, ParserOptions};

use super::*;
use crate::component::tombolo::sync::types::{EnumType, ForeignKey, LogicalType};

fn column(name: &str, logical: LogicalType, origin: &str) -> Column {
    Column {
        name: name.into(),
        logical,
        origin: origin.into(),
        nullable: true,
        default: None,
        generation: Generation::None,
    }
}

fn table(columns: Vec<Column>, primary_key: &[&str]) -> TableSchema {
    TableSchema {
        table: "t".into(),
        columns,
        primary_key: primary_key.iter().map(ToString::to_string).collect(),
        unique_keys: vec![],
        foreign_keys: vec![],
        enums: Vec::new(),
    }
}

fn with_default(column: Column, default: &str) -> Column {
    Column {
        default: Some(default.into()),
        ..column
    }
}

fn numbered(column: Column) -> Column {
    Column {
        generation: Generation::IdentityDefault,
        nullable: false,
        ..column
    }
}

/// Parses the last statement as the host does: strictly one statement, CREATE TABLE, of the object's name, and faithful when printed again.
fn parsed(dialect: &Dialect, plan: &DdlPlan) -> CreateTable {
    let grammar: &dyn Grammar = match dialect {
        Dialect::Sqlite => &SQLiteDialect {},
        _ => &PostgreSqlDialect {},
    };
    let parse = |sql: &str, unescape: bool| {
        let options = ParserOptions::new().with_unescape(unescape);
        let parser = Parser::new(grammar).with_options(options).try_with_sql(sql);
        parser
            .and_then(|mut parser| parser.parse_statements())
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    assert!(plan.after.is_empty());
    let statement = plan.before.last().unwrap();
    assert_eq!(statement.kind, StatementKind::CreateTable);

    let tree = parse(&statement.sql, true);
    let [Ast::CreateTable(create)] = tree.as_slice() else {
        panic!("not one CREATE TABLE: {}", statement.sql)
    };
    assert_eq!(create.name.0.len(), 1);
    assert_eq!(create.name.0[0].as_ident().unwrap().value, statement.object);

    // With escapes removed, sqlparser prints some names otherwise than it read them.
    let printed = parse(&statement.sql, false)[0].to_string();
    assert_eq!(parse(&printed, true), tree, "{printed}");
    create.clone()
}

fn create(dialect: Dialect, table: &TableSchema) -> (String, Vec<String>) {
    let plan = create_table(&dialect, table, &[]).unwrap();
    parsed(&dialect, &plan);
    assert_eq!(plan.before.len(), 1);
    (plan.before[0].sql.clone(), plan.not_carried)
}

fn invalid(dialect: Dialect, table: &TableSchema) -> String {
    match create_table(&dialect, table, &[]) {
        Err(Error::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn orders() -> TableSchema {
    let mut table = table(
        vec![
            numbered(with_default(
                column("id", LogicalType::Integer, "pg:integer"),
                "nextval('orders_id_seq'::regclass)",
            )),
            Column {
                nullable: false,
                ..column("shop", LogicalType::Text, "pg:character varying(160)")
            },
            with_default(
                column("price", LogicalType::Decimal, "pg:numeric(12,2)"),
                "0.00",
            ),
            with_default(column("open", LogicalType::Boolean, "pg:boolean"), "true"),
            with_default(
                column("state", LogicalType::Other("mood".into()), "pg:mood"),
                "'new'::mood",
            ),
            with_default(
                column(
                    "made",
                    LogicalType::Timestamptz,
                    "pg:timestamp(3) with time zone",
                ),
                "CURRENT_TIMESTAMP",
            ),
            with_default(column("seen", LogicalType::Date, "pg:date"), "now()"),
            with_default(
                column("tags", LogicalType::Other("text[]".into()), "pg:text[]"),
                "'{}'::text[]",
            ),
            Column {
                generation: Generation::Computed,
                ..column("total", LogicalType::Decimal, "pg:numeric")
            },
        ],
        &["id"],
    );
    table.unique_keys = vec![vec!["shop".into(), "made".into()]];
    table.foreign_keys = vec![ForeignKey {
        columns: vec!["shop".into()],
        referenced_table: "shops".into(),
        referenced_columns: vec![],
    }];
    table
}

#[test]
fn postgres_to_postgres_keeps_the_types() {
    let (sql, lost) = create(Dialect::Postgres, &orders());
    assert_eq!(
        sql,
        "CREATE TABLE \"t\" (\
         \"id\" integer GENERATED BY DEFAULT AS IDENTITY NOT NULL, \
         \"shop\" character varying(160) NOT NULL, \
         \"price\" numeric(12,2) DEFAULT 0.00, \
         \"open\" boolean DEFAULT TRUE, \
         \"state\" text DEFAULT 'new', \
         \"made\" timestamp(3) with time zone DEFAULT CURRENT_TIMESTAMP, \
         \"seen\" date, \
         \"tags\" text[] DEFAULT '{}', \
         PRIMARY KEY (\"id\"))"
    );
    assert_eq!(
        lost,
        [
            "of column \"state\": its type \"mood\" (text here)",
            "of column \"seen\": its default \"now()\"",
            "column \"total\", which its database computes",
            "the unique key (\"shop\", \"made\")",
            "the foreign key (\"shop\") to table \"shops\"",
        ]
    );
}

#[test]
fn postgres_to_sqlite_takes_the_nearest_storage() {
    let (sql, lost) = create(Dialect::Sqlite, &orders());
    assert_eq!(
        sql,
        "CREATE TABLE \"t\" (\
         \"id\" INTEGER NOT NULL, \
         \"shop\" TEXT NOT NULL, \
         \"price\" TEXT DEFAULT '0.00', \
         \"open\" INTEGER DEFAULT 1, \
         \"state\" TEXT DEFAULT 'new', \
         \"made\" TEXT DEFAULT CURRENT_TIMESTAMP, \
         \"seen\" TEXT, \
         \"tags\" TEXT DEFAULT '{}', \
         PRIMARY KEY (\"id\"))"
    );
    assert_eq!(lost.len(), 4, "{lost:?}");
}

fn album() -> TableSchema {
    table(
        vec![
            Column {
                nullable: true,
                ..numbered(column("AlbumId", LogicalType::Integer, "sqlite:INTEGER"))
            },
            Column {
                nullable: false,
                ..column("Title", LogicalType::Text, "sqlite:NVARCHAR(160)")
            },
            with_default(
                column("Price", LogicalType::Decimal, "sqlite:DECIMAL(10,2)"),
                "'0.5'",
            ),
            with_default(
                column("Listed", LogicalType::Boolean, "sqlite:BOOLEAN"),
                "1",
            ),
            with_default(
                column("Made", LogicalType::Text, "sqlite:DATETIME"),
                "CURRENT_TIMESTAMP",
            ),
            with_default(column("Weight", LogicalType::Float, "sqlite:REAL"), "1.5"),
            with_default(column("Cover", LogicalType::Bytes, "sqlite:BLOB"), "x'00'"),
            column("Anything", LogicalType::Any, "sqlite:"),
            column("Legacy", LogicalType::Integer, "sqlite:UNSIGNED BIG INT"),
        ],
        &["AlbumId"],
    )
}

#[test]
fn sqlite_to_sqlite_keeps_the_declared_types() {
    let (sql, lost) = create(Dialect::Sqlite, &album());
    assert_eq!(
        sql,
        "CREATE TABLE \"t\" (\
         \"AlbumId\" INTEGER, \
         \"Title\" NVARCHAR(160) NOT NULL, \
         \"Price\" DECIMAL(10,2) DEFAULT '0.5', \
         \"Listed\" BOOLEAN DEFAULT 1, \
         \"Made\" DATETIME DEFAULT CURRENT_TIMESTAMP, \
         \"Weight\" REAL DEFAULT 1.5, \
         \"Cover\" BLOB, \
         \"Anything\", \
         \"Legacy\" INTEGER, \
         PRIMARY KEY (\"AlbumId\"))"
    );
    assert_eq!(
        lost,
        [
            "of column \"Cover\": its default \"x'00'\"",
            "of column \"Legacy\": its type's name \"UNSIGNED BIG INT\" (INTEGER here)",
        ]
    );
}

#[test]
fn sqlite_to_postgres_goes_by_what_the_columns_hold() {
    let (sql, lost) = create(Dialect::Postgres, &album());
    assert_eq!(
        sql,
        "CREATE TABLE \"t\" (\
         \"AlbumId\" bigint GENERATED BY DEFAULT AS IDENTITY, \
         \"Title\" text NOT NULL, \
         \"Price\" numeric DEFAULT 0.5, \
         \"Listed\" boolean DEFAULT TRUE, \
         \"Made\" text, \
         \"Weight\" double precision DEFAULT 1.5, \
         \"Cover\" bytea, \
         \"Anything\" text, \
         \"Legacy\" bigint, \
         PRIMARY KEY (\"AlbumId\"))"
    );
    assert_eq!(
        lost,
        [
            "of column \"Made\": its default \"CURRENT_TIMESTAMP\"",
            "of column \"Cover\": its default \"x'00'\"",
            "of column \"Anything\": that each value has a type of its own (text here)",
        ]
    );
}

#[test]
fn numbering_goes_where_the_database_can_number() {
    let id = || numbered(column("id", LogicalType::Integer, "pg:bigint"));
    let other = || column("other", LogicalType::Text, "pg:text");
    for (dialect, key, expected, lost) in [
        (
            Dialect::Postgres,
            &["id"][..],
            "\"id\" bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL",
            0,
        ),
        (
            Dialect::Postgres,
            &["other", "id"],
            "\"id\" bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL",
            0,
        ),
        (Dialect::Postgres, &["other"], "\"id\" bigint NOT NULL", 1),
        (Dialect::Sqlite, &["id"], "\"id\" INTEGER NOT NULL", 0),
        (
            Dialect::Sqlite,
            &["id", "other"],
            "\"id\" INTEGER NOT NULL",
            1,
        ),
    ] {
        let other = Column {
            nullable: false,
            ..other()
        };
        let (sql, not_carried) = create(dialect, &table(vec![id(), other], key));
        assert!(sql.contains(&format!("({expected}, ")), "{sql}");
        assert_eq!(not_carried.len(), lost, "{not_carried:?}");
        assert!(
            not_carried
                .iter()
                .all(|line| line.contains("\"id\": its numbering")),
            "{not_carried:?}"
        );
    }
    // INT would be a key like any other in SQLite; a number needs INTEGER.
    let int = numbered(column("id", LogicalType::Integer, "sqlite:INT"));
    assert!(
        create(Dialect::Sqlite, &table(vec![int], &["id"]))
            .0
            .contains("\"id\" INTEGER")
    );
    let int = column("id", LogicalType::Integer, "sqlite:INT");
    assert!(
        create(Dialect::Sqlite, &table(vec![int], &["id"]))
            .0
            .contains("\"id\" INT,")
    );
}

#[test]
fn keys_that_cannot_be_carried_are_named() {
    let mut computed = table(
        vec![
            column("a", LogicalType::Text, "pg:text"),
            column("b", LogicalType::Text, "pg:text"),
        ],
        &["b"],
    );
    computed.columns[1].generation = Generation::Computed;
    let (sql, lost) = create(Dialect::Postgres, &computed);
    assert_eq!(sql, "CREATE TABLE \"t\" (\"a\" text)");
    assert_eq!(
        lost[1],
        "the primary key (\"b\"): its database computes \"b\""
    );

    let nullable = table(vec![column("a", LogicalType::Text, "sqlite:TEXT")], &["a"]);
    let (_, lost) = create(Dialect::Postgres, &nullable);
    assert!(lost[0].contains("NULL is allowed"), "{lost:?}");
    assert!(create(Dialect::Sqlite, &nullable).1.is_empty());
}

#[test]
fn what_cannot_exist_here_is_refused_with_the_reason() {
    let named = |name: &str| table(vec![column(name, LogicalType::Text, "pg:text")], &[]);
    let two = table(
        vec![
            column("a", LogicalType::Text, "pg:text"),
            column("A", LogicalType::Text, "pg:text"),
        ],
        &[],
    );
    let long = "ü".repeat(32);
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        assert!(invalid(dialect.clone(), &named("a\0b")).contains("NUL"));
        assert!(invalid(dialect.clone(), &named("")).contains("is empty"));
        assert!(invalid(dialect.clone(), &table(vec![], &[])).contains("no columns"));
        assert!(
            invalid(
                dialect.clone(),
                &TableSchema {
                    table: "a\0".into(),
                    ..named("a")
                }
            )
            .contains("its name contains a NUL")
        );
        let text = invalid(
            dialect,
            &TableSchema {
                primary_key: vec!["x\u{1b}".into()],
                ..named("a")
            },
        );
        assert!(
            text.contains("\"x\\u{1b}\", which is none of its columns"),
            "{text}"
        );
    }
    assert!(invalid(Dialect::Postgres, &named(&long)).contains("64 bytes"));
    create(Dialect::Sqlite, &named(&long));
    assert!(invalid(Dialect::Sqlite, &two).contains("two columns"));
    create(Dialect::Postgres, &two);
    assert!(
        invalid(
            Dialect::Sqlite,
            &TableSchema {
                table: "SQLite_x".into(),
                ..named("a")
            }
        )
        .contains("sqlite_")
    );
    assert!(invalid(Dialect::Other("oracle".into()), &named("a")).contains("\"oracle\""));
}

/// The type of the only column, as the parser understood it.
fn only_type(dialect: Dialect, column: Column) -> DataType {
    let plan = create_table(&dialect, &table(vec![column], &[]), &[]).unwrap();
    let create = parsed(&dialect, &plan);
    let [
        ColumnDef {
            data_type, options, ..
        },
    ] = create.columns.as_slice()
    else {
        panic!("{create}")
    };
    assert!(
        options.is_empty() && create.constraints.is_empty(),
        "{create}"
    );
    data_type.clone()
}

#[test]
fn every_type_that_is_let_through_parses_as_itself() {
    for name in postgres::tests::all_types() {
        let printed = only_type(
            Dialect::Postgres,
            column("a", LogicalType::Text, &format!("pg:{name}")),
        )
        .to_string();
        assert_eq!(printed.to_lowercase(), name);
    }
    for name in sqlite::tests::all_types() {
        let printed = only_type(
            Dialect::Sqlite,
            column("a", LogicalType::Text, &format!("sqlite:{name}")),
        )
        .to_string();
        assert_eq!(printed.replace(", ", ","), name);
    }
    for name in ALL_KEYWORDS {
        only_type(
            Dialect::Sqlite,
            column("a", LogicalType::Text, &format!("sqlite:{name}")),
        );
    }
}
