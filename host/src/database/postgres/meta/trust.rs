//! Uses Tombolo's own tables only if nobody else can have put code or rows into them.
//!
//! The schema and its tables belong to the login, to the database's owner or to a superuser; they are exactly as
//! Tombolo creates them; and nobody else may write them. What is checked stays so until the transaction's end: each
//! table is locked first, and checked with what is committed then.

use super::tables::OwnTable;
use crate::database::postgres::connection::{Session, column, query};
use crate::database::{DatabaseError, quote};

/// What exists of Tombolo's own.
#[derive(Debug, Default)]
pub(in crate::database::postgres) struct Found {
    pub schema: bool,
    /// Their names, sorted.
    pub tables: Vec<String>,
    /// Those that the login may read.
    readable: Vec<String>,
}

impl Found {
    /// Returns true if a table exists.
    pub fn has(&self, table: OwnTable) -> bool {
        self.tables.iter().any(|name| name == table.name())
    }

    fn is_readable(&self, table: OwnTable) -> bool {
        self.readable.iter().any(|name| name == table.name())
    }
}

/// Returns a condition on the object identifier of a role: it may have made what sessions of the login run.
pub(in crate::database::postgres) fn is_trusted(role: &str) -> String {
    format!(
        "{role} IN (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = CURRENT_USER \
           OR r.rolname = 'pg_database_owner' \
           UNION ALL SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())"
    )
}

/// Looks for Tombolo's own schema and tables. Fails with [`DatabaseError::NotAsMade`] if one of them cannot be trusted.
pub(in crate::database::postgres) async fn verify(
    session: &mut Session,
) -> Result<Found, DatabaseError> {
    let rows = session.rows(query(statement())).await?;
    let mut found = Found::default();
    for row in &rows {
        let problem: Option<String> = column(row, "problem")?;
        let object: String = column(row, "object")?;
        if let Some(problem) = problem {
            let owner: String = column(row, "owner")?;
            return Err(DatabaseError::NotAsMade {
                object,
                problem: format!("{problem}; its owner is {owner:?}"),
            });
        }
        match object.strip_prefix("table tombolo.") {
            Some(table) => {
                found.tables.push(table.to_owned());
                if column(row, "readable")? {
                    found.readable.push(table.to_owned());
                }
            }
            None => found.schema = true,
        }
    }
    found.tables.sort_unstable();
    Ok(found)
}

/// Begins a transaction with `begin`, so that a table can be read in it. False: the table does not exist, or the login
/// may not read it. Fails as [`verify`] does, if the login may read it.
pub(in crate::database::postgres) async fn begin_to_read(
    session: &mut Session,
    begin: &str,
    table: OwnTable,
) -> Result<bool, DatabaseError> {
    let usable = is_readable(session, table).await? && verify(session).await?.is_readable(table);
    session.run(begin).await?;
    if !usable {
        return Ok(false);
    }
    Ok(lock_to_read(session, table).await?.is_readable(table))
}

/// Returns the path for functions of the database that run when rows are written: PostgreSQL's own schema, then those
/// of the login's own path in which nobody else can have put a function or an operator.
pub(in crate::database::postgres) async fn path_of_functions(
    session: &mut Session,
) -> Result<String, DatabaseError> {
    let (owner, grantee, maker) = (
        is_trusted("n.nspowner"),
        is_trusted("a.grantee"),
        is_trusted("f.owner"),
    );
    let sql = format!(
        "SELECT n.nspname::text AS name FROM pg_catalog.pg_namespace n \
         WHERE n.nspname = ANY ($1) AND n.nspname <> 'pg_catalog' AND {owner} \
         AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a \
           WHERE a.privilege_type = 'CREATE' AND NOT {grantee}) \
         AND NOT EXISTS (SELECT 1 FROM ( \
             SELECT p.proowner AS owner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid \
             UNION ALL SELECT o.oprowner FROM pg_catalog.pg_operator o WHERE o.oprnamespace = n.oid) f \
           WHERE NOT {maker}) \
         ORDER BY pg_catalog.array_position($1, n.nspname::text)"
    );
    let schemas = session.schemas().to_vec();
    let rows = session.rows(query(sql).bind(schemas)).await?;
    let mut path = "pg_catalog, ".to_owned();
    for row in &rows {
        let name: String = column(row, "name")?;
        path.push_str(&quote(&name));
        path.push_str(", ");
    }
    path.push_str("pg_temp");
    Ok(path)
}

/// Locks a table, so that it can be read until the transaction's end. The transaction has run no query yet, or sees
/// what is committed meanwhile. Fails as [`verify`] does.
pub(super) async fn lock_to_read(
    session: &mut Session,
    table: OwnTable,
) -> Result<Found, DatabaseError> {
    lock(session, &[table.name().to_owned()], "ACCESS SHARE").await?;
    verify(session).await
}

/// Locks a table that was checked before, and is still the same one if its object identifier is.
pub(in crate::database::postgres) async fn lock_to_read_again(
    session: &mut Session,
    table: OwnTable,
) -> Result<(), DatabaseError> {
    lock(session, &[table.name().to_owned()], "ACCESS SHARE").await
}

/// Locks all tables, so that they can be written until the transaction's end. The transaction has run no query yet, or
/// sees what is committed meanwhile. Fails as [`verify`] does.
pub(in crate::database::postgres) async fn lock_to_write(
    session: &mut Session,
) -> Result<(), DatabaseError> {
    let all = OwnTable::ALL.map(|table| table.name().to_owned());
    lock(session, &all, "ROW EXCLUSIVE").await?;
    verify(session).await.map(|_| ())
}

/// Locks tables in a mode.
pub(super) async fn lock(
    session: &mut Session,
    tables: &[String],
    mode: &str,
) -> Result<(), DatabaseError> {
    let names: Vec<String> = tables
        .iter()
        .map(|name| format!("tombolo.{name}"))
        .collect();
    session
        .run(format!("LOCK TABLE {} IN {mode} MODE", names.join(", ")))
        .await
        .map(|_| ())
}

/// Takes away what the login's default privileges give to others of the new schema.
pub(super) async fn withdraw_from_schema(session: &mut Session) -> Result<(), DatabaseError> {
    let acl = "SELECT n.nspacl AS acl, n.nspowner AS owner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tombolo'";
    withdraw(session, acl, "SCHEMA tombolo").await
}

/// Takes away what the login's default privileges give to others of a new table.
pub(super) async fn withdraw_from_table(
    session: &mut Session,
    table: OwnTable,
) -> Result<(), DatabaseError> {
    let name = table.name();
    let acl = format!(
        "SELECT c.relacl AS acl, c.relowner AS owner FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tombolo' AND c.relname = '{name}'"
    );
    withdraw(session, &acl, &format!("TABLE tombolo.{name}")).await
}

async fn withdraw(session: &mut Session, acl: &str, object: &str) -> Result<(), DatabaseError> {
    let sql = format!(
        "SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' \
           ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::text) END AS grantee \
         FROM ({acl}) AS o, pg_catalog.aclexplode(o.acl) a WHERE a.grantee <> o.owner"
    );
    for row in &session.rows(query(sql)).await? {
        let grantee: String = column(row, "grantee")?;
        let revoke = format!("REVOKE ALL ON {object} FROM {grantee}");
        session.run(revoke).await?;
    }
    Ok(())
}

/// Returns true if a table exists and may be read. The catalog tells: an error would end a transaction.
async fn is_readable(session: &mut Session, table: OwnTable) -> Result<bool, DatabaseError> {
    let sql = "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'tombolo' AND c.relname = $1 \
               AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";
    let row = session.row(query(sql).bind(table.name())).await?;
    Ok(row.is_some())
}

/// Returns the query for what exists, and before it what is wrong with it.
fn statement() -> String {
    let trusted = is_trusted("owner");
    let grantee_is_trusted = is_trusted("a.grantee");
    let columns = expected_columns();
    let names = OwnTable::ALL.map(|table| format!("'{}'", table.name()));
    let names = names.join(", ");
    // A grant to everybody has the grantee 0.
    let grantee = "CASE a.grantee WHEN 0 THEN 'everybody' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::text) END";
    format!(
        "WITH schema AS (SELECT n.oid, 'schema tombolo'::text AS object, n.nspowner AS owner, n.nspacl AS acl \
           FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tombolo'), \
         tables AS (SELECT c.*, 'table tombolo.' || c.relname::text AS object, c.relowner AS owner \
           FROM pg_catalog.pg_class c JOIN schema ON c.relnamespace = schema.oid WHERE c.relname IN ({names})), \
         expected (relname, name, kind, required, init) AS (VALUES {columns}), \
         problems AS ( \
           SELECT object, owner, 'it belongs to another login' AS problem FROM schema WHERE NOT {trusted} \
           UNION ALL SELECT object, owner, pg_catalog.concat(a.privilege_type, ' is granted to ', {grantee}) FROM schema, \
             pg_catalog.aclexplode(acl) a WHERE a.privilege_type <> 'USAGE' AND NOT {grantee_is_trusted} \
           UNION ALL SELECT object, owner, 'it belongs to another login' FROM tables WHERE NOT {trusted} \
           UNION ALL SELECT object, owner, 'it is not an ordinary table' FROM tables \
             WHERE relkind <> 'r' OR relpersistence <> 'p' OR relispartition OR reloftype <> 0 \
           UNION ALL SELECT object, owner, 'it has row security' FROM tables WHERE relrowsecurity OR relforcerowsecurity \
           UNION ALL SELECT object, owner, pg_catalog.concat(a.privilege_type, ' is granted to ', {grantee}) FROM tables, \
             pg_catalog.aclexplode(relacl) a WHERE a.privilege_type <> 'SELECT' AND NOT {grantee_is_trusted} \
           UNION ALL SELECT object, owner, pg_catalog.concat(a.privilege_type, ' of a column is granted to ', {grantee}) \
             FROM tables JOIN pg_catalog.pg_attribute l ON l.attrelid = tables.oid, pg_catalog.aclexplode(l.attacl) a \
             WHERE a.privilege_type <> 'SELECT' AND NOT {grantee_is_trusted} \
           UNION ALL SELECT object, owner, 'it has the trigger ' || pg_catalog.quote_ident(t.tgname::text) \
             FROM tables JOIN pg_catalog.pg_trigger t ON t.tgrelid = tables.oid WHERE NOT t.tgisinternal \
           UNION ALL SELECT object, owner, 'it has the rule ' || pg_catalog.quote_ident(r.rulename::text) \
             FROM tables JOIN pg_catalog.pg_rewrite r ON r.ev_class = tables.oid \
           UNION ALL SELECT object, owner, 'it has the policy ' || pg_catalog.quote_ident(p.polname::text) \
             FROM tables JOIN pg_catalog.pg_policy p ON p.polrelid = tables.oid \
           UNION ALL SELECT object, owner, 'it inherits from a table, or another one from it' \
             FROM tables JOIN pg_catalog.pg_inherits i ON tables.oid IN (i.inhrelid, i.inhparent) \
           UNION ALL SELECT object, owner, 'it has the constraint ' || pg_catalog.quote_ident(k.conname::text) \
             FROM tables JOIN pg_catalog.pg_constraint k ON k.conrelid = tables.oid WHERE k.contype NOT IN ('p', 'n') \
           UNION ALL SELECT object, owner, 'the foreign key ' || pg_catalog.quote_ident(k.conname::text) || ' refers to it' \
             FROM tables JOIN pg_catalog.pg_constraint k ON k.confrelid = tables.oid \
           UNION ALL SELECT object, owner, 'it has the index ' || pg_catalog.quote_ident(x.relname::text) \
             FROM tables JOIN pg_catalog.pg_index i ON i.indrelid = tables.oid AND NOT i.indisprimary \
             JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
           UNION ALL SELECT object, owner, 'it has the statistics ' || pg_catalog.quote_ident(s.stxname::text) \
             FROM tables JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = tables.oid \
           UNION ALL SELECT object, owner, 'its column ' || pg_catalog.quote_ident(l.attname::text) || ' is not as Tombolo makes it' \
             FROM tables JOIN pg_catalog.pg_attribute l ON l.attrelid = tables.oid AND l.attnum > 0 AND NOT l.attisdropped \
             JOIN pg_catalog.pg_type t ON t.oid = l.atttypid \
             LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = l.attrelid AND f.adnum = l.attnum \
             LEFT JOIN expected e ON e.relname = tables.relname::text AND e.name = l.attname::text \
             WHERE e.name IS NULL OR l.attidentity <> '' OR l.attgenerated <> '' OR l.attcollation <> t.typcollation \
               OR e.kind <> pg_catalog.format_type(l.atttypid, l.atttypmod) OR e.required <> l.attnotnull \
               OR e.init <> coalesce(pg_catalog.pg_get_expr(f.adbin, f.adrelid), '') \
           UNION ALL SELECT object, owner, 'its column ' || e.name || ' is missing' \
             FROM tables JOIN expected e ON e.relname = tables.relname::text \
             WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute l \
               WHERE l.attrelid = tables.oid AND l.attname::text = e.name AND NOT l.attisdropped)), \
         found AS ( \
           SELECT object, owner, problem, false AS readable FROM problems \
           UNION ALL SELECT object, owner, NULL, true FROM schema \
           UNION ALL SELECT object, owner, NULL, pg_catalog.has_schema_privilege(relnamespace, 'USAGE') \
             AND pg_catalog.has_table_privilege(oid, 'SELECT') FROM tables) \
         SELECT object, pg_catalog.pg_get_userbyid(owner)::text AS owner, problem, readable FROM found \
         ORDER BY problem IS NULL, object, problem"
    )
}

fn expected_columns() -> String {
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let rows: Vec<String> = OwnTable::ALL
        .into_iter()
        .flat_map(|table| table.columns().iter().map(move |column| (table, column)))
        .map(|(table, column)| {
            format!(
                "({}, {}, {}, {}, {})",
                text(table.name()),
                text(column.name),
                text(column.kind),
                !column.nullable,
                text(column.default.unwrap_or_default())
            )
        })
        .collect();
    rows.join(", ")
}
