//! Checks one DDL statement of a component and prints it again from its syntax tree.

use sqlparser::ast::{
    ColumnDef, ColumnOption, CreateTable, DataType, Expr, GeneratedAs, Ident, IndexColumn,
    KeyOrIndexDisplay, NullsDistinctOption, ObjectName, ObjectNamePart, OrderByExpr,
    OrderByOptions, PrimaryKeyConstraint, Statement as Tree, TableConstraint, UnaryOperator,
    UniqueConstraint, Value,
};
use sqlparser::dialect::{Dialect as Grammar, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserOptions};

use super::enums;
use crate::bindings::types::{Dialect, Failure, Statement, StatementKind, TableSchema};
use crate::database::CheckedStatement;
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;

/// The longest statement; 2 000 columns with names of 63 bytes need a quarter of it.
const MAX_SQL_BYTES: usize = 1 << 20;

/// Why a statement of a component is not run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It cannot be parsed.
    #[error("a statement for table {table:?} cannot be parsed: {reason}")]
    Unparsed {
        /// The table that it is for.
        table: String,
        /// What the parser said.
        reason: String,
    },
    /// It is not allowed.
    #[error("a statement for table {table:?} is refused: {reason}")]
    Refused {
        /// The table that it is for.
        table: String,
        /// Why.
        reason: &'static str,
    },
}

impl From<StatementError> for Failure {
    fn from(error: StatementError) -> Self {
        failure(
            ErrorCode::Plugin,
            error.to_string(),
            "create the table yourself, or use another plugin for the role `ddl`",
        )
    }
}

/// Checks one statement that a component made for an incoming table. What runs is the syntax tree printed again, never the
/// component's text.
///
/// Fails with [`StatementError`] unless the statement creates exactly this table, or an enum that the table declares.
pub fn check(
    dialect: &Dialect,
    incoming: &TableSchema,
    statement: &Statement,
) -> Result<CheckedStatement, StatementError> {
    let table = incoming.table.as_str();
    let refuse = |reason| StatementError::Refused {
        table: table.to_owned(),
        reason,
    };
    if statement.sql.len() > MAX_SQL_BYTES {
        return Err(refuse("it is longer than 1 MiB"));
    }
    if statement.object != table {
        return Err(refuse("it is about another table"));
    }
    let grammar: &dyn Grammar = match dialect {
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::Other(_) => return Err(refuse("the dialect of the database is not supported")),
    };
    let tree = parse(grammar, &statement.sql, true).map_err(|reason| StatementError::Unparsed {
        table: table.to_owned(),
        reason,
    })?;
    match (&statement.kind, &tree) {
        (StatementKind::CreateTable, Tree::CreateTable(create)) => {
            check_create_table(create, table, dialect).map_err(refuse)?;
        }
        (StatementKind::CreateTable, _) => {
            return Err(refuse("it is not the CREATE TABLE it claims to be"));
        }
        (StatementKind::CreateType, tree) => {
            return enums::check(dialect, grammar, &incoming.enums, tree).map_err(refuse);
        }
        _ => return Err(refuse("statements of this kind are not run")),
    }
    print(grammar, &statement.sql, &tree).map_err(refuse)
}

/// Parses exactly one statement. With `unescape`, names and texts are those that are meant, else those that are written.
pub(super) fn parse(grammar: &dyn Grammar, sql: &str, unescape: bool) -> Result<Tree, String> {
    let options = ParserOptions::new().with_unescape(unescape);
    let trees = Parser::new(grammar)
        .with_options(options)
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| printable(&error.to_string()))?;
    match <[Tree; 1]>::try_from(trees) {
        Ok([tree]) => Ok(tree),
        Err(trees) => Err(format!(
            "there are {} statements where one is expected",
            trees.len()
        )),
    }
}

/// Prints the statement from its syntax tree. The parser drops escapes from names and does not print them again, so what
/// is printed comes from the tree with all escapes, and must mean exactly what was checked.
fn print(
    grammar: &dyn Grammar,
    sql: &str,
    checked: &Tree,
) -> Result<CheckedStatement, &'static str> {
    let written = parse(grammar, sql, false).map_err(|_| "it cannot be parsed with its escapes")?;
    let printed = written.to_string();
    match parse(grammar, &printed, true) {
        Ok(again) if again == *checked => Ok(CheckedStatement::new(printed)),
        _ => Err("its printed form differs from what was checked"),
    }
}

fn check_create_table(
    create: &CreateTable,
    table: &str,
    dialect: &Dialect,
) -> Result<(), &'static str> {
    if !is_name(&create.name, table) {
        return Err("it creates another table");
    }
    // Every clause beside columns and keys is absent.
    let plain = CreateTable {
        name: create.name.clone(),
        columns: create.columns.clone(),
        constraints: create.constraints.clone(),
        ..plain_table(create)
    };
    if plain.to_string() != create.to_string() {
        return Err("it has more than columns and keys");
    }
    if create.columns.is_empty() {
        return Err("it has no columns");
    }
    for column in &create.columns {
        check_column(column, dialect)?;
    }
    let is_column = |name: &Ident| {
        let mut columns = create.columns.iter();
        is_quoted(name) && columns.any(|column| column.name.value == name.value)
    };
    for constraint in &create.constraints {
        let keys = key_columns(constraint)
            .ok_or("it has constraints other than plain primary and unique keys")?;
        if !keys.into_iter().all(is_column) {
            return Err("a key is of something else than its columns");
        }
    }
    Ok(())
}

/// Without quotes a name may be a keyword to the database, and a column something else: `LIKE other`.
fn check_column(column: &ColumnDef, dialect: &Dialect) -> Result<(), &'static str> {
    if !is_quoted(&column.name) {
        return Err("the name of a column is not quoted");
    }
    check_type(&column.data_type, dialect)?;
    for option in &column.options {
        if option.name.is_some() {
            return Err("a constraint of a column has a name");
        }
        check_option(&option.option)?;
    }
    Ok(())
}

fn is_quoted(name: &Ident) -> bool {
    name.quote_style == Some('"')
}

/// Returns the columns of a primary or unique key that has nothing else; none for every other constraint.
fn key_columns(constraint: &TableConstraint) -> Option<Vec<&Ident>> {
    let columns = match constraint {
        TableConstraint::PrimaryKey(PrimaryKeyConstraint {
            name: None,
            index_name: None,
            index_type: None,
            columns,
            include,
            index_options,
            characteristics: None,
        }) if include.is_empty() && index_options.is_empty() => columns,
        TableConstraint::Unique(UniqueConstraint {
            name: None,
            index_name: None,
            index_type_display: KeyOrIndexDisplay::None,
            index_type: None,
            columns,
            include,
            index_options,
            characteristics: None,
            nulls_distinct: NullsDistinctOption::None,
        }) if include.is_empty() && index_options.is_empty() => columns,
        _ => return None,
    };
    columns.iter().map(plain_column).collect()
}

fn plain_column(column: &IndexColumn) -> Option<&Ident> {
    match column {
        IndexColumn {
            column:
                OrderByExpr {
                    expr: Expr::Identifier(name),
                    options:
                        OrderByOptions {
                            sort: None,
                            nulls_first: None,
                        },
                    with_fill: None,
                },
            operator_class: None,
        } => Some(name),
        _ => None,
    }
}

/// `CREATE TABLE x (...)` parsed from a constant: what every other clause looks like when it is absent.
fn plain_table(fallback: &CreateTable) -> CreateTable {
    match Parser::parse_sql(&PostgreSqlDialect {}, "CREATE TABLE x (y int)").as_deref() {
        Ok([Tree::CreateTable(plain)]) => plain.clone(),
        // Cannot happen with a constant; the comparison would then compare the statement with itself, so refuse more.
        _ => CreateTable {
            columns: Vec::new(),
            ..fallback.clone()
        },
    }
}

fn is_name(name: &ObjectName, table: &str) -> bool {
    matches!(
        name.0.as_slice(),
        [ObjectNamePart::Identifier(part)] if part.value == table && is_quoted(part)
    )
}

/// What begins something else than a type where a database expects one, or nothing: SQLite's columns need no type.
const NO_TYPES: [&str; 22] = [
    "AS",
    "ALL",
    "AUTOINCREMENT",
    "CHECK",
    "COLLATE",
    "CONSTRAINT",
    "DEFAULT",
    "DEFERRABLE",
    "EXCLUDE",
    "FOREIGN",
    "GENERATED",
    "INCLUDING",
    "INHERITS",
    "LIKE",
    "NOT",
    "NULL",
    "ON",
    "OPTIONS",
    "PRIMARY",
    "REFERENCES",
    "UNIQUE",
    "WITH",
];

/// Allows names of types with numbers, never expressions.
fn check_type(data_type: &DataType, dialect: &Dialect) -> Result<(), &'static str> {
    // SQLite keeps the text in quotes as the declared type, whatever it is.
    if *dialect == Dialect::Sqlite
        && let DataType::Custom(name, modifiers) = data_type
        && let [ObjectNamePart::Identifier(part)] = name.0.as_slice()
        && is_quoted(part)
    {
        return match modifiers.is_empty() {
            true => Ok(()),
            false => Err("a column's type in quotes has arguments"),
        };
    }
    let keyword = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(part) => {
            let word = part.value.to_ascii_uppercase();
            part.quote_style.is_none() && NO_TYPES.contains(&word.as_str())
        }
        ObjectNamePart::Function(_) => true,
    };
    if let DataType::Custom(name, _) = data_type
        && name.0.iter().any(keyword)
    {
        return Err("a column's type is a keyword");
    }
    let printed = data_type.to_string();
    let harmless = printed.chars().all(|character| {
        character.is_alphanumeric()
            || matches!(
                character,
                ' ' | '_' | '-' | '.' | '(' | ')' | ',' | '[' | ']' | '"'
            )
    });
    if harmless {
        Ok(())
    } else {
        Err("a column's type is more than a name")
    }
}

fn check_option(option: &ColumnOption) -> Result<(), &'static str> {
    match option {
        ColumnOption::Null | ColumnOption::NotNull => Ok(()),
        ColumnOption::Default(value) => check_literal(value),
        ColumnOption::Generated {
            generated_as: GeneratedAs::Always | GeneratedAs::ByDefault,
            sequence_options,
            generation_expr: None,
            ..
        } if sequence_options.as_ref().is_none_or(Vec::is_empty) => Ok(()),
        _ => Err("a column has more than a type, nullability, a literal default and an identity"),
    }
}

/// Allows literals as defaults: no function runs that a component chose.
fn check_literal(value: &Expr) -> Result<(), &'static str> {
    match value {
        Expr::Value(value) => match value.value {
            Value::Number(..)
            | Value::SingleQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::Boolean(_)
            | Value::Null => Ok(()),
            _ => Err("a default is not a literal"),
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } if is_number(expr) => Ok(()),
        Expr::Nested(inner) => check_literal(inner),
        Expr::Function(function)
            if matches!(
                function.to_string().to_ascii_uppercase().as_str(),
                "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_TIME"
            ) =>
        {
            Ok(())
        }
        _ => Err("a default is not a literal"),
    }
}

/// Before anything else than a number, a sign is an operator that is looked up by its name.
fn is_number(value: &Expr) -> bool {
    matches!(value, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::EnumType;

    /// Table `t`, as far as statements depend on it.
    pub(in super::super) fn table(enums: Vec<EnumType>) -> TableSchema {
        TableSchema {
            table: "t".to_owned(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums,
        }
    }

    fn run(dialect: &Dialect, sql: &str) -> Result<CheckedStatement, StatementError> {
        let statement = Statement {
            kind: StatementKind::CreateTable,
            object: "t".to_owned(),
            sql: sql.to_owned(),
        };
        check(dialect, &table(Vec::new()), &statement)
    }

    #[test]
    fn a_plain_table_is_printed_again() {
        let checked = run(
            &Dialect::Postgres,
            r#"create table "t" ("id" bigint not null generated by default as identity, "price" numeric(10,2) default -1.5,
               "name" character varying(20) default 'it''s', "tags" text[], "at" timestamp with time zone default CURRENT_TIMESTAMP, primary key ("id"))"#,
        )
        .unwrap();
        assert!(
            checked.sql().starts_with("CREATE TABLE \"t\""),
            "{}",
            checked.sql()
        );
        run(
            &Dialect::Postgres,
            r#"CREATE TABLE "t" ("a" "Größen Typ"[], "b" "other"."mood" DEFAULT 'ok', "c" "geometry"(Point,4326))"#,
        )
        .unwrap();
        run(&Dialect::Sqlite, r#"CREATE TABLE "t" ("a" NVARCHAR(160) NOT NULL, "b" NUMERIC(10,2), PRIMARY KEY ("a"))"#).unwrap();
    }

    #[test]
    fn a_type_of_sqlite_in_quotes_stays_one() {
        for declared in [
            "DECIMAL(10, 2)",
            "a\"b",
            "x); DROP TABLE u; --",
            "/* c */ '",
            "NOT NULL",
        ] {
            let quoted = crate::database::quote(declared);
            let sql = format!("CREATE TABLE \"t\" (\"a\" {quoted} NOT NULL)");
            let checked = run(&Dialect::Sqlite, &sql).unwrap();
            assert!(checked.sql().contains(&quoted), "{}", checked.sql());
        }
        let sql = r#"CREATE TABLE "t" ("a" "x; y")"#;
        assert!(run(&Dialect::Postgres, sql).is_err());
        let sql = r#"CREATE TABLE "t" ("a" "x"("y"))"#;
        assert!(run(&Dialect::Sqlite, sql).is_err());
    }

    #[test]
    fn hostile_names_stay_names() {
        let column = r#"a\" text DEFAULT pg_read_file('/etc/passwd')) --"#;
        for name in [column, r#"a""b"#, "a; DROP TABLE u", "ü \\ '"] {
            let quoted = crate::database::quote(name);
            let sql = format!("CREATE TABLE \"t\" ({quoted} TEXT)");
            let checked = run(&Dialect::Postgres, &sql).unwrap();
            assert!(checked.sql().contains(&quoted), "{}", checked.sql());
        }
    }

    #[test]
    fn a_statement_is_what_it_says() {
        let sql = "CREATE TABLE \"t\" (\"a\" int)";
        let kinds = [
            (StatementKind::CreateTable, "t", true),
            (StatementKind::CreateTable, "u", false),
            (StatementKind::CreateType, "t", false),
            (StatementKind::Other("alter-table".to_owned()), "t", false),
        ];
        for (kind, object, is_run) in kinds {
            let statement = Statement {
                kind,
                object: object.to_owned(),
                sql: sql.to_owned(),
            };
            let checked = check(&Dialect::Postgres, &table(Vec::new()), &statement);
            assert_eq!(checked.is_ok(), is_run, "{statement:?}: {checked:?}");
        }
        let other = run(&Dialect::Other("mysql".to_owned()), sql);
        assert!(other.is_err(), "{other:?}");
    }

    /// What a newer parser knows needs a check.
    #[test]
    fn what_the_parser_does_not_know_is_refused() {
        let unknown = [
            (Dialect::Postgres, "not sql at all"),
            (
                Dialect::Postgres,
                r#"CREATE TABLE "t" ("a" int, like secrets INCLUDING ALL)"#,
            ),
            (Dialect::Postgres, r#"CREATE TABLE "t" OF "type""#),
            (
                Dialect::Postgres,
                r#"CREATE TABLE "t" ("a" int) USING heap2"#,
            ),
            (
                Dialect::Postgres,
                r#"CREATE TABLE "t" ("a" int, PRIMARY KEY ())"#,
            ),
            (
                Dialect::Sqlite,
                r#"CREATE TABLE "t" ("a" int, UNIQUE ("a") ON CONFLICT REPLACE)"#,
            ),
        ];
        let known: Vec<_> = unknown
            .into_iter()
            .map(|(dialect, sql)| (sql, run(&dialect, sql)))
            .filter(|(_, checked)| !matches!(checked, Err(StatementError::Unparsed { .. })))
            .collect();
        assert!(known.is_empty(), "{known:#?}");
    }

    #[test]
    fn everything_else_is_refused() {
        let postgres = [
            r#"DROP TABLE "t""#,
            r#"CREATE TABLE "t" ("a" int); DROP TABLE "u""#,
            r#"CREATE TABLE "u" ("a" int)"#,
            r#"CREATE TABLE "s"."t" ("a" int)"#,
            r#"CREATE TEMPORARY TABLE "t" ("a" int)"#,
            r#"CREATE TABLE IF NOT EXISTS "t" ("a" int)"#,
            r#"CREATE TABLE "t" AS SELECT * FROM "secrets""#,
            r#"CREATE TABLE "t" ("a" int) AS SELECT * FROM "secrets""#,
            r#"CREATE TABLE "t" ("a" int DEFAULT (SELECT 1))"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT pg_sleep(10))"#,
            r#"CREATE TABLE "t" ("a" int CHECK (pg_sleep(10) IS NULL))"#,
            r#"CREATE TABLE "t" ("a" int REFERENCES "u")"#,
            r#"CREATE TABLE "t" ("a" int GENERATED ALWAYS AS (1) STORED)"#,
            r#"CREATE TABLE "t" ("a" int) INHERITS ("u")"#,
            r#"CREATE TABLE "t" ("a" int) TABLESPACE x"#,
            r#"CREATE TABLE "t" ("a" int) WITH (fillfactor = 10)"#,
            r#"CREATE TABLE "t" ()"#,
            r#"CREATE TABLE t ("a" int)"#,
            r#"CREATE TABLE "t" (a int)"#,
            r#"CREATE TABLE "t" ("a" int, LIKE secrets)"#,
            r#"CREATE TABLE "t" ("a" int, LIKE "secrets")"#,
            r#"CREATE TABLE "t" (LIKE secrets)"#,
            r#"CREATE TABLE "t" (LIKE secrets INCLUDING DEFAULTS)"#,
            r#"CREATE TABLE "t" LIKE "secrets""#,
            r#"CREATE TABLE "t" PARTITION OF "u" DEFAULT"#,
            r#"CREATE TABLE "t" ("a" int) PARTITION BY LIST ("a")"#,
            r#"CREATE UNLOGGED TABLE "t" ("a" int)"#,
            r#"CREATE TABLE "t" ("a" int) ON COMMIT DROP"#,
            r#"CREATE TABLE "t" ("a" int COLLATE "evil")"#,
            r#"CREATE TABLE "t" ("a" int CONSTRAINT "c" NOT NULL)"#,
            r#"CREATE TABLE "t" ("a" int PRIMARY KEY)"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT -'5')"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT - - 5)"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT 1 + 1)"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT 'x'::evil)"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT CAST('x' AS evil))"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT ARRAY[1])"#,
            r#"CREATE TABLE "t" ("a" int DEFAULT nextval('s'))"#,
            r#"CREATE TABLE "t" ("a" int GENERATED ALWAYS AS IDENTITY (START WITH 5))"#,
            r#"CREATE TABLE "t" ("a" like)"#,
            r#"CREATE TABLE "t" ("a" INHERITS)"#,
            r#"CREATE TABLE "t" ("a" exclude)"#,
            r#"CREATE TABLE "t" ("a" "x".including)"#,
            r#"CREATE TABLE "t" ("a" ENUM('x'))"#,
            r#"CREATE TABLE "t" ("a" int, CONSTRAINT "c" PRIMARY KEY ("a"))"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY ("a") DEFERRABLE)"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY ("a") INCLUDE ("a"))"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY (a))"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY ("b"))"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY (evil("a")))"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY ("a" DESC))"#,
            r#"CREATE TABLE "t" ("a" int, UNIQUE ("a" evil_ops))"#,
            r#"CREATE TABLE "t" ("a" int, UNIQUE (("a" + 1)))"#,
            r#"CREATE TABLE "t" ("a" int, UNIQUE NULLS NOT DISTINCT ("a"))"#,
            r#"CREATE TABLE "t" ("a" int, UNIQUE ("a") INCLUDE ("a"))"#,
            r#"CREATE TABLE "t" ("a" int, UNIQUE ("a") DEFERRABLE)"#,
            r#"CREATE TABLE "t" ("a" int, CONSTRAINT "c" UNIQUE ("a"))"#,
            r#"CREATE TABLE "t" ("a" int, EXCLUDE USING gist ("a" WITH =))"#,
            r#"CREATE TABLE "t" ("a" int, FOREIGN KEY ("a") REFERENCES "u")"#,
            r#"CREATE TABLE "t" ("a" int, CHECK (evil()))"#,
        ];
        let sqlite = [
            r#"CREATE VIRTUAL TABLE "t" USING fts5(a)"#,
            r#"CREATE TABLE "t" (a int)"#,
            r#"CREATE TABLE "t" ("a" CHECK (b))"#,
            r#"CREATE TABLE "t" ("a" AS (b))"#,
            r#"CREATE TABLE "t" ("a" DEFAULT (b))"#,
            r#"CREATE TABLE "t" ("a" COLLATE nocase)"#,
            r#"CREATE TABLE "t" ("a" REFERENCES u)"#,
            r#"CREATE TABLE "t" ("a" int) WITHOUT ROWID"#,
            r#"CREATE TABLE "t" ("a" int) STRICT"#,
            r#"CREATE TABLE "t" ("a" int, PRIMARY KEY ("a" COLLATE nocase))"#,
            r#"CREATE TABLE "temp"."t" ("a" int)"#,
        ];
        let long = format!(
            "CREATE TABLE \"t\" (\"a\" int){}",
            " ".repeat(MAX_SQL_BYTES)
        );
        let postgres = postgres.into_iter().chain([long.as_str()]);
        let postgres = postgres.map(|sql| (Dialect::Postgres, sql));
        let sqlite = sqlite.into_iter().map(|sql| (Dialect::Sqlite, sql));
        let accepted: Vec<_> = postgres
            .chain(sqlite)
            .filter(|(dialect, sql)| run(dialect, sql).is_ok())
            .collect();
        assert!(accepted.is_empty(), "{accepted:#?}");
    }
}
