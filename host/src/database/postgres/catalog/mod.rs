//! Describes tables as PostgreSQL's catalog knows them.

mod casts;
pub(super) mod constraints;
pub mod elsewhere;
pub(super) mod enums;
pub(super) mod features;
mod names;
pub(super) mod operators;
pub(super) mod origins;
pub(super) mod sequences;

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use self::operators::{KeyOperators, Strategy};

use crate::bindings::database::{TableKind, TableSummary};
use crate::bindings::types::{Column, ForeignKey, Generation, TableSchema};
use crate::database::postgres::codec::types::{CatalogType, ColumnType, PhysicalType};
use crate::database::postgres::connection::{Session, column, query};
use crate::database::postgres::meta::trust::is_trusted;
use crate::database::{DatabaseError, OmissionReason, quote};

/// Tombolo's own schema in a target.
pub(in crate::database::postgres) const OWN_SCHEMA: &str = "tombolo";

/// A table in the catalog.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Relation {
    /// Its object identifier.
    pub oid: i64,
    /// The schema it is in.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// Whether its rows are in partitions.
    pub partitioned: bool,
    /// Whether policies may hide rows from the login.
    pub filtered: bool,
}

impl Relation {
    /// Returns the name in statements, quoted.
    pub fn name(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.table))
    }

    /// Returns the name where rows are read or changed: children of inheritance are tables of their own.
    pub fn only(&self) -> String {
        if self.partitioned {
            self.name()
        } else {
            format!("ONLY {}", self.name())
        }
    }
}

/// A table with its columns' types.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Description {
    pub relation: Relation,
    pub schema: TableSchema,
    /// The types, in the order of the schema's columns.
    pub types: Vec<ColumnType>,
    /// Those of the primary key's columns, in its order.
    pub key_operators: Vec<KeyOperators>,
}

impl Description {
    /// Returns the description of a table without columns.
    fn empty(relation: Relation) -> Self {
        Self {
            schema: TableSchema {
                table: relation.table.clone(),
                columns: Vec::new(),
                primary_key: Vec::new(),
                unique_keys: Vec::new(),
                foreign_keys: Vec::new(),
                enums: Vec::new(),
            },
            relation,
            types: Vec::new(),
            key_operators: Vec::new(),
        }
    }

    /// Returns the columns that hold every value of SQLite.
    pub fn widened(&self) -> Vec<String> {
        let columns = self.schema.columns.iter().zip(&self.types);
        columns
            .filter(|(_, kind)| matches!(kind.physical, PhysicalType::WideText(_)))
            .map(|(column, _)| column.name.clone())
            .collect()
    }

    /// Finds a column and its type by name.
    pub fn column(&self, name: &str) -> Option<(&Column, &ColumnType)> {
        let columns = self.schema.columns.iter().zip(&self.types);
        columns.into_iter().find(|(column, _)| column.name == name)
    }
}

/// A name in the current schema.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Listed {
    /// The name, and what it stands for.
    pub summary: TableSummary,
    /// Why it is not offered, or not whole.
    pub omission: Option<OmissionReason>,
}

/// Tables, views and foreign tables of the schema $1. A COPY needs the right to read the table, or each of its columns.
const LIST: &str = "\
    SELECT c.relname::text AS name, c.relkind::text AS kind, pg_catalog.row_security_active(c.oid) AS filtered, \
      pg_catalog.has_table_privilege(c.oid, 'SELECT') OR coalesce(( \
        SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')) \
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), false) AS readable, \
      (SELECT pg_catalog.min(e.extname::text) FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e' \
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass) AS extension \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND n.nspname <> $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
    ORDER BY c.relname::text COLLATE pg_catalog.\"C\"";

/// Returns all tables and views of the current schema, sorted by name.
pub(in crate::database::postgres) async fn list(
    session: &mut Session,
) -> Result<Vec<Listed>, DatabaseError> {
    let home = session.home().map(str::to_owned);
    let rows = session
        .rows(query(LIST).bind(home).bind(OWN_SCHEMA))
        .await?;
    rows.iter()
        .map(|row| {
            let kind: String = column(row, "kind")?;
            let kind = match kind.as_str() {
                "r" | "p" => TableKind::Table,
                "v" | "m" => TableKind::View,
                _ => TableKind::Other("foreign table".to_owned()),
            };
            let extension: Option<String> = column(row, "extension")?;
            let omission = match (column(row, "readable")?, extension) {
                _ if kind != TableKind::Table => None,
                (_, Some(extension)) => Some(OmissionReason::Extension(extension)),
                (false, None) => Some(OmissionReason::Unreadable),
                (true, None) if column(row, "filtered")? => Some(OmissionReason::Filtered),
                (true, None) => None,
            };
            Ok(Listed {
                summary: TableSummary {
                    table: column(row, "name")?,
                    kind,
                },
                omission,
            })
        })
        .collect()
}

/// Finds a table by name. Fails with [`DatabaseError::NotFound`], with [`DatabaseError::View`] for a view, and with
/// [`DatabaseError::Unsuitable`] for a foreign table or a partition.
pub(in crate::database::postgres) async fn find(
    session: &mut Session,
    place: &str,
    table: &str,
) -> Result<Relation, DatabaseError> {
    let found = find_all(session, place, &[table.to_owned()]).await?;
    only(found, place, table)
}

/// Describes a table; fails as [`find`] does. `with_origins`: the table of origins may be read, and is locked.
pub(in crate::database::postgres) async fn describe(
    session: &mut Session,
    place: &str,
    table: &str,
    with_origins: bool,
) -> Result<Description, DatabaseError> {
    let described = describe_all(session, place, &[table.to_owned()], with_origins).await?;
    only(described, place, table)
}

/// Returns what was found of the only table that was asked for.
pub(in crate::database::postgres) fn only<T>(
    found: Vec<Result<T, DatabaseError>>,
    place: &str,
    table: &str,
) -> Result<T, DatabaseError> {
    let mut found = found.into_iter();
    found.next().unwrap_or_else(|| Err(missing(place, table)))
}

/// Returns the error for a table that does not exist.
pub(in crate::database::postgres) fn missing(place: &str, table: &str) -> DatabaseError {
    DatabaseError::NotFound {
        database: place.to_owned(),
        table: table.to_owned(),
    }
}

/// Finds tables by their names, in one query. What [`find`] fails with is in the place of the table.
pub(in crate::database::postgres) async fn find_all(
    session: &mut Session,
    place: &str,
    tables: &[String],
) -> Result<Vec<Result<Relation, DatabaseError>>, DatabaseError> {
    let home = session.home().map(str::to_owned);
    let possible: Vec<String> = tables
        .iter()
        .filter(|table| !table.contains('\0'))
        .cloned()
        .collect();
    let rows = session
        .rows(
            query(
                "SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, \
                 c.relispartition AS partition, pg_catalog.row_security_active(c.oid) AS filtered \
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND n.nspname <> $2 AND c.relname = ANY ($3) \
                 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            )
            .bind(home)
            .bind(OWN_SCHEMA)
            .bind(possible),
        )
        .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let name: String = column(row, "name")?;
        found.insert(name, row);
    }
    let relations = tables.iter().map(|table| match found.get(table) {
        Some(row) => relation(row, place, table),
        None => Err(missing(place, table)),
    });
    Ok(relations.collect())
}

fn relation(row: &PgRow, place: &str, table: &str) -> Result<Relation, DatabaseError> {
    let kind: String = column(row, "kind")?;
    let unsuitable = |reason: &str| DatabaseError::Unsuitable {
        table: table.to_owned(),
        reason: reason.to_owned(),
    };
    match kind.as_str() {
        "v" | "m" => Err(DatabaseError::View {
            database: place.to_owned(),
            table: table.to_owned(),
        }),
        "f" => Err(unsuitable(
            "it is a foreign table; transfer it from the database that holds its rows",
        )),
        _ if column(row, "partition")? => Err(unsuitable(
            "it is a partition; transfer the table it belongs to",
        )),
        kind => Ok(Relation {
            oid: column(row, "oid")?,
            schema: column(row, "schema")?,
            table: table.to_owned(),
            partitioned: kind == "p",
            filtered: column(row, "filtered")?,
        }),
    }
}

/// Describes tables by a number of queries that does not depend on how many they are. What [`find`] fails with is in the
/// place of the table. `with_origins`: as for [`describe`].
pub(in crate::database::postgres) async fn describe_all(
    session: &mut Session,
    place: &str,
    tables: &[String],
    with_origins: bool,
) -> Result<Vec<Result<Description, DatabaseError>>, DatabaseError> {
    let found = find_all(session, place, tables).await?;
    let relations: Vec<i64> = found
        .iter()
        .flatten()
        .map(|relation| relation.oid)
        .collect();
    if relations.is_empty() {
        return Ok(found
            .into_iter()
            .map(|found| found.map(Description::empty))
            .collect());
    }
    let mut columns = columns(session, &relations).await?;
    let mut keys = keys(session, &relations).await?;
    let mut foreign_keys = foreign_keys(session, &relations).await?;
    let mut places = Vec::with_capacity(found.len());
    let mut described = Vec::with_capacity(relations.len());
    for found in found {
        places.push(found.map(|relation| {
            let oid = relation.oid;
            let mut table = Description::empty(relation);
            let (columns, types) = columns.remove(&oid).unwrap_or_default();
            let keys = keys.remove(&oid).unwrap_or_default();
            table.schema.columns = columns;
            table.schema.primary_key = keys.primary_key;
            table.schema.unique_keys = keys.unique_keys;
            table.schema.foreign_keys = foreign_keys.remove(&oid).unwrap_or_default();
            table.types = types;
            table.key_operators = keys.operators;
            described.push(table);
        }));
    }
    if with_origins {
        origins::apply(session, &mut described).await?;
    }
    let with_enums = described
        .iter()
        .filter(|table| enums::may_be_among(&table.types));
    let with_enums: Vec<i64> = with_enums.map(|table| table.relation.oid).collect();
    let mut enums = enums::of_tables(session, &with_enums).await?;
    let mut described = described.into_iter().map(|mut table| {
        table.schema.enums = enums.remove(&table.relation.oid).unwrap_or_default();
        table
    });
    let tables = places.into_iter().zip(tables).map(|(found, name)| {
        found.and_then(|()| described.next().ok_or_else(|| missing(place, name)))
    });
    Ok(tables.collect())
}

/// Returns those of `types`, named as the login sees them, that are user-defined in this database and that columns can
/// have. Their owners may be trusted: a value that is stored runs the checks and casts of its type.
pub(in crate::database::postgres) async fn known_types(
    session: &mut Session,
    types: &[String],
) -> Result<Vec<String>, DatabaseError> {
    let bare: Vec<String> = types.iter().map(|name| without_modifier(name)).collect();
    // Few types have a name that is part of one of these.
    let asked = bare.join(" ").replace('\0', "").replace("\"\"", "\"");
    let trusted = is_trusted("t.typowner");
    let rows = session
        .rows(
            query(format!(
                "SELECT t.oid::int8 AS oid FROM pg_catalog.pg_type t \
                 JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
                 LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' \
                 WHERE t.typtype <> 'p' AND t.typisdefined AND n.nspname NOT IN ($1, 'pg_catalog', 'information_schema') \
                 AND pg_catalog.strpos($2, coalesce(e.typname, t.typname)::text) > 0 \
                 AND pg_catalog.has_type_privilege(t.oid, 'USAGE') AND {trusted}"
            ))
            .bind(OWN_SCHEMA)
            .bind(asked),
        )
        .await?;
    let possible = rows
        .iter()
        .map(|row| column(row, "oid"))
        .collect::<Result<Vec<i64>, _>>()?;
    let found = names::of_types(session, &possible).await?;
    let asked = types.iter().zip(&bare);
    let known = asked.filter(|(_, bare)| found.values().any(|name| name == *bare));
    Ok(known.map(|(name, _)| name.clone()).collect())
}

/// Returns `geometry(Point,4326)[]` without its `(Point,4326)`; parentheses in quotes are no modifier.
fn without_modifier(name: &str) -> String {
    if name.contains('"') {
        return name.to_owned();
    }
    match (name.find('('), name.find(')')) {
        (Some(open), Some(close)) if open < close => {
            let before = name.get(..open).unwrap_or_default();
            let after = name.get(close + 1..).unwrap_or_default();
            format!("{before}{after}")
        }
        _ => name.to_owned(),
    }
}

const COLUMNS: &str = "\
    WITH RECURSIVE base AS ( \
      SELECT a.attrelid, a.attnum, a.atttypid AS oid, a.atttypmod AS modifier, 0 AS depth, a.attnotnull AS required \
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ($1::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped \
      UNION ALL \
      SELECT b.attrelid, b.attnum, t.typbasetype, t.typtypmod, b.depth + 1, b.required OR t.typnotnull \
      FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype = 'd' \
    ) \
    SELECT DISTINCT ON (a.attrelid, a.attnum) a.attrelid::int8 AS relation, a.attname::text AS name, b.required AS required, a.attidentity::text AS identity, \
      a.attgenerated::text AS generated, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression, b.oid::int8 AS oid, a.attnum::int8 AS number, \
      CASE WHEN t.typcategory = 'A' THEN t.typelem::int8 ELSE 0 END AS element, b.modifier AS modifier, \
      pg_catalog.format_type(a.atttypid, a.atttypmod) AS declared, pg_catalog.format_type(b.oid, b.modifier) AS base, \
      pg_catalog.format_type(b.oid, -1) AS bare, b.depth > 0 AS is_domain \
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    ORDER BY a.attrelid, a.attnum, b.depth DESC";

/// Columns and their types, in the order of the table.
type Columns = (Vec<Column>, Vec<ColumnType>);

/// Returns the columns of tables, by the tables' object identifiers.
async fn columns(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<i64, Columns>, DatabaseError> {
    let rows = session
        .rows(query(COLUMNS).bind(relations.to_vec()))
        .await?;
    let mut seen = names::of_columns(session, relations).await?;
    let casts = casts::foreign(session, relations).await?;
    let mut tables: HashMap<i64, Columns> = HashMap::new();
    for row in &rows {
        let relation: i64 = column(row, "relation")?;
        let number: i64 = column(row, "number")?;
        let (shown, default) = seen.remove(&(relation, number)).unwrap_or_default();
        let (columns, types) = tables.entry(relation).or_default();
        let oid = column(row, "oid")?;
        let kind = ColumnType::new(CatalogType {
            oid,
            element: column(row, "element")?,
            modifier: column(row, "modifier")?,
            shown,
            foreign_cast: casts.get(&oid).cloned(),
            declared: column(row, "declared")?,
            base: column(row, "base")?,
            bare: column(row, "bare")?,
            domain: column(row, "is_domain")?,
        });
        let required: bool = column(row, "required")?;
        let identity: String = column(row, "identity")?;
        let generated: String = column(row, "generated")?;
        let expression: Option<String> = column(row, "expression")?;
        let is_serial = expression.as_deref().is_some_and(is_serial);
        let (generation, default) = generation(&identity, &generated, is_serial, default);
        columns.push(Column {
            name: column(row, "name")?,
            logical: kind.logical.clone(),
            origin: kind.origin().to_string(),
            nullable: !required,
            default,
            generation,
        });
        types.push(kind);
    }
    Ok(tables)
}

fn generation(
    identity: &str,
    generated: &str,
    is_serial: bool,
    default: Option<String>,
) -> (Generation, Option<String>) {
    match (identity, generated) {
        (_, generated) if !generated.is_empty() => (Generation::Computed, None),
        ("a", _) => (Generation::IdentityAlways, None),
        ("d", _) => (Generation::IdentityDefault, None),
        _ if is_serial => (Generation::IdentityDefault, None),
        _ => (Generation::None, default),
    }
}

/// Of an expression as it is printed with the pinned path.
fn is_serial(default: &str) -> bool {
    default.starts_with("nextval('") && default.ends_with("'::regclass)")
}

/// The keys of a table.
#[derive(Default)]
struct Keys {
    primary_key: Vec<String>,
    /// Of the primary key's columns.
    operators: Vec<KeyOperators>,
    /// All others.
    unique_keys: Vec<Vec<String>>,
}

/// Returns the keys of tables, by the tables' object identifiers.
async fn keys(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<i64, Keys>, DatabaseError> {
    let sql = format!(
        "SELECT i.indrelid::int8 AS relation, i.indisprimary AS is_primary, ARRAY(SELECT a.attname::text \
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position) \
           JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
           WHERE k.position <= i.indnkeyatts ORDER BY k.position) AS columns, \
         CASE WHEN i.indisprimary THEN {} ELSE '{{}}' END AS equals, CASE WHEN i.indisprimary THEN {} ELSE '{{}}' END AS greater \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         WHERE i.indrelid = ANY ($1::int8[]::oid[]) AND i.indisunique AND i.indisvalid \
         AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY c.relname",
        operators::of_index(Strategy::Equal),
        operators::of_index(Strategy::Greater)
    );
    let rows = session.rows(query(sql).bind(relations.to_vec())).await?;
    let mut tables: HashMap<i64, Keys> = HashMap::new();
    for row in &rows {
        let keys = tables.entry(column(row, "relation")?).or_default();
        let columns: Vec<String> = column(row, "columns")?;
        if !column(row, "is_primary")? {
            keys.unique_keys.push(columns);
            continue;
        }
        let (equals, greater): (Vec<String>, Vec<String>) =
            (column(row, "equals")?, column(row, "greater")?);
        keys.primary_key = columns;
        keys.operators = equals
            .into_iter()
            .zip(greater)
            .map(|(equals, greater)| KeyOperators { equals, greater })
            .collect();
    }
    Ok(tables)
}

/// Returns the foreign keys of tables, by the tables' object identifiers.
async fn foreign_keys(
    session: &mut Session,
    relations: &[i64],
) -> Result<HashMap<i64, Vec<ForeignKey>>, DatabaseError> {
    let names = |table: &str, numbers: &str| {
        format!(
            "ARRAY(SELECT a.attname::text FROM unnest(f.{numbers}) WITH ORDINALITY AS k(attnum, position) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = f.{table} AND a.attnum = k.attnum ORDER BY k.position)"
        )
    };
    let rows = session
        .rows(
            query(format!(
                "SELECT f.conrelid::int8 AS relation, r.relname::text AS parent, {} AS columns, {} AS parent_columns \
                 FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class t ON t.oid = f.conrelid \
                 JOIN pg_catalog.pg_class r ON r.oid = f.confrelid AND r.relnamespace = t.relnamespace \
                 WHERE f.contype = 'f' AND f.conrelid = ANY ($1::int8[]::oid[]) AND f.conparentid = 0 ORDER BY f.conname",
                names("conrelid", "conkey"),
                names("confrelid", "confkey"),
            ))
            .bind(relations.to_vec()),
        )
        .await?;
    let mut tables: HashMap<i64, Vec<ForeignKey>> = HashMap::new();
    for row in &rows {
        let keys = tables.entry(column(row, "relation")?).or_default();
        keys.push(ForeignKey {
            referenced_table: column(row, "parent")?,
            columns: column(row, "columns")?,
            referenced_columns: column(row, "parent_columns")?,
        });
    }
    Ok(tables)
}
