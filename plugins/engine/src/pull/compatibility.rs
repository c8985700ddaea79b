//! Whether the rows of a peer's table fit into the table that exists in the target.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::transfers::PeerTable;
use crate::bindings::types::{Column, Dialect, Failure, Generation, LogicalType, TableSchema};
use crate::error::{ErrorCode, failure, printable};
use crate::pull::origin::Origin;
use crate::wire::sent_columns;

/// The most names in one part of a message; a peer may send thousands.
const MAX_LISTED: usize = 8;

/// The most bytes of the names of columns that are left out: each request names them in its head.
const MAX_LEFT_OUT: usize = 8 << 10;

/// A table of the peer as it fits into one of the target.
pub struct Fit {
    /// The table by the names of the target, without the columns that are left out.
    pub incoming: TableSchema,
    /// What the peer calls it, if that differs.
    pub source: Option<PeerTable>,
    /// What is left out, one phrase each.
    pub left_out: Vec<String>,
}

/// Compares the columns and primary keys of both sides by name and meaning.
///
/// Names that differ only in their case are the same where that is unambiguous. A column that only the peer has is left
/// out, and one that only the target has gets its default.
///
/// Fails with `columns-differ` if no column is on both sides, if a column of one side only is part of a key or has to have
/// a value, if values of one type are never those of the other, or if the primary keys differ.
pub fn fit(incoming: TableSchema, local: &TableSchema, dialect: &Dialect) -> Result<Fit, Failure> {
    let named = rename(&incoming, local);
    let local_columns = columns_by_name(local);
    let remote_columns = columns_by_name(&named.schema);
    let missing = |name: &&&str| !local_columns.contains_key(**name);
    let remote_only: Vec<&str> = remote_columns.keys().filter(missing).copied().collect();
    let local_only = local_columns.iter().filter(|(name, column)| {
        let is_needed = !column.nullable && column.default.is_none();
        let is_numbered = column.generation != Generation::None;
        !remote_columns.contains_key(*name) && is_needed && !is_numbered
    });
    let in_key = |name: &&&str| named.schema.primary_key.iter().any(|key| key == **name);
    let bytes: usize = remote_only.iter().map(|name| name.len()).sum();
    let nothing_in_common = remote_only.len() == remote_columns.len() || bytes > MAX_LEFT_OUT;
    let kept_out = remote_only
        .iter()
        .filter(|name| nothing_in_common || in_key(name));
    let types = remote_columns.iter().filter_map(|(name, column)| {
        let own = local_columns.get(name)?;
        if fits(column, own, dialect) {
            return None;
        }
        let (name, origin) = (printable(name), printable(&column.origin));
        Some(format!("{name} (remote {origin}, local {})", own.origin))
    });
    let mut differences: Vec<String> = [
        ("remote only", list(kept_out.map(|name| printable(name)))),
        (
            "local only",
            list(local_only.map(|(name, _)| printable(name))),
        ),
        ("different type", list(types)),
    ]
    .into_iter()
    .filter_map(|(what, columns)| Some(format!("{what}: {}", columns?)))
    .collect();
    let remote_key: BTreeSet<&String> = named.schema.primary_key.iter().collect();
    let local_key: BTreeSet<&String> = local.primary_key.iter().collect();
    if !remote_key.is_empty() && !local_key.is_empty() && remote_key != local_key {
        let key = |schema: &TableSchema| {
            list(schema.primary_key.iter().map(|name| printable(name))).unwrap_or_default()
        };
        differences.push(format!(
            "different primary key (remote {}, local {})",
            key(&named.schema),
            key(local)
        ));
    }
    if differences.is_empty() {
        let remote_only: BTreeSet<String> = remote_only.into_iter().map(str::to_owned).collect();
        return Ok(named.without(incoming, &remote_only));
    }
    Err(failure(
        ErrorCode::ColumnsDiffer,
        format!(
            "table {:?} exists in the target with different columns: {}",
            local.table,
            differences.join("; ")
        ),
        "rename or change the table in the target, or leave it out; nothing was written",
    ))
}

/// A table of the peer by the names of the target.
struct Named {
    schema: TableSchema,
    /// The names at the peer, by those of the target.
    peer_names: BTreeMap<String, String>,
}

/// Gives columns the names that they have in the target, where those differ only in their case and are unambiguous.
fn rename(incoming: &TableSchema, local: &TableSchema) -> Named {
    let own: BTreeSet<&str> = columns_by_name(local).into_keys().collect();
    let remote: BTreeSet<&str> = incoming
        .columns
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let mut folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in own.iter().filter(|name| !remote.contains(**name)) {
        folded.entry(name.to_lowercase()).or_default().push(name);
    }
    let mut claims: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in remote.iter().filter(|name| !own.contains(**name)) {
        if let Some([target]) = folded.get(&name.to_lowercase()).map(Vec::as_slice) {
            claims.entry(target).or_default().push(name);
        }
    }
    let mut new_names: BTreeMap<&str, &str> = BTreeMap::new();
    for (target, claim) in claims {
        if let [name] = claim.as_slice() {
            new_names.insert(name, target);
        }
    }
    let new_name = |name: &String| {
        let found = new_names.get(name.as_str());
        found.map_or_else(|| name.clone(), |target| (*target).to_owned())
    };
    let mut schema = incoming.clone();
    let mut peer_names = BTreeMap::new();
    for column in &mut schema.columns {
        let name = new_name(&column.name);
        peer_names.insert(name.clone(), std::mem::replace(&mut column.name, name));
    }
    let foreign_keys = schema.foreign_keys.iter_mut().map(|key| &mut key.columns);
    let keys = [&mut schema.primary_key].into_iter();
    for key in keys.chain(&mut schema.unique_keys).chain(foreign_keys) {
        for name in key {
            *name = new_name(name);
        }
    }
    Named { schema, peer_names }
}

impl Named {
    /// Leaves columns out. `incoming` is the table as the peer describes it.
    fn without(self, incoming: TableSchema, left_out: &BTreeSet<String>) -> Fit {
        let Self {
            mut schema,
            peer_names,
        } = self;
        if left_out.is_empty() && peer_names.iter().all(|(own, peer)| own == peer) {
            return Fit {
                incoming,
                source: None,
                left_out: Vec::new(),
            };
        }
        let is_left = |name: &String| !left_out.contains(name);
        let columns = std::mem::take(&mut schema.columns).into_iter();
        schema.columns = columns
            .filter(|column| column.generation != Generation::Computed && is_left(&column.name))
            .collect();
        let peer_name = |name: &String| peer_names.get(name).unwrap_or(name).clone();
        let names = schema.columns.iter().map(|column| &column.name);
        let names: Vec<String> = names.map(peer_name).collect();
        let is_sent = |name: &String| schema.columns.iter().any(|column| column.name == *name);
        schema.unique_keys.retain(|key| key.iter().all(is_sent));
        schema
            .foreign_keys
            .retain(|key| key.columns.iter().all(is_sent));
        if !schema.primary_key.iter().all(is_sent) {
            schema.primary_key.clear();
        }
        Fit {
            source: Some(PeerTable {
                table: schema.table.clone(),
                columns: names,
                left_out: left_out.iter().map(peer_name).collect(),
            }),
            left_out: left_out
                .iter()
                .map(|name| {
                    format!("the values of column {name:?}, which the target does not have")
                })
                .collect(),
            incoming: schema,
        }
    }
}

/// The first texts, separated by commas, and how many more there are; none if there is no text.
fn list(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut listed: Vec<String> = texts.collect();
    let more = listed.len().saturating_sub(MAX_LISTED);
    listed.truncate(MAX_LISTED);
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    (!listed.is_empty()).then(|| listed.join(", "))
}

fn columns_by_name(table: &TableSchema) -> BTreeMap<&str, &Column> {
    sent_columns(table)
        .map(|column| (column.name.as_str(), column))
        .collect()
}

fn fits(incoming: &Column, local: &Column, dialect: &Dialect) -> bool {
    match (Origin::from(incoming), Origin::from(local)) {
        // In SQLite each value has its own type, whatever the column declares.
        (Origin::Sqlite(_), Origin::Sqlite(_)) => true,
        (Origin::Postgres(remote_type), Origin::Postgres(local_type)) => {
            incoming.logical == local.logical
                || remote_type == local_type
                || (*dialect == Dialect::Postgres
                    && converts_in_postgres(&incoming.logical, &local.logical))
        }
        // A name without a known meaning, such as DATETIME, says nothing about the values.
        (Origin::Sqlite(declared), Origin::Postgres(_))
            if incoming.logical == LogicalType::Text && !is_text(declared) =>
        {
            true
        }
        _ => converts(&incoming.logical, &local.logical),
    }
}

/// Whether a declared type of SQLite turns numbers into texts.
fn is_text(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let words = ["CHAR", "CLOB", "TEXT"];
    words.iter().any(|word| declared.contains(word))
}

/// Whether each value of one type of PostgreSQL is either exactly one of the other, or rejected by itself.
fn converts_in_postgres(incoming: &LogicalType, local: &LogicalType) -> bool {
    use LogicalType as L;
    let is_number = |logical: &L| matches!(logical, L::Integer | L::Decimal | L::Float);
    match (incoming, local) {
        // A type without a form of its own is read and written as text: enums, arrays, domains, addresses.
        (L::Other(_), L::Other(_) | L::Text)
        | (L::Date, L::Timestamp)
        | (L::Timestamp, L::Date)
        | (L::Boolean, L::Integer)
        | (L::Integer, L::Boolean | L::Text) => true,
        (one, other) if is_number(one) && is_number(other) => true,
        (L::Text, other) | (other, L::Text) => has_text_form(other),
        _ => false,
    }
}

fn has_text_form(logical: &LogicalType) -> bool {
    use LogicalType as L;
    matches!(
        logical,
        L::Decimal
            | L::Date
            | L::Time
            | L::Timetz
            | L::Timestamp
            | L::Timestamptz
            | L::Interval
            | L::Uuid
            | L::Json
            | L::Other(_)
    )
}

/// Whether each value is either converted exactly or rejected by itself.
fn converts(incoming: &LogicalType, local: &LogicalType) -> bool {
    use LogicalType as L;
    match (incoming, local) {
        (one, other) if one == other => true,
        (L::Any, _) | (_, L::Any) => true,
        (L::Text, other) | (other, L::Text) => has_text_form(other),
        (L::Integer, L::Boolean | L::Decimal | L::Float)
        | (L::Boolean | L::Decimal, L::Integer)
        | (L::Float, L::Decimal)
        | (L::Decimal, L::Float) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::bindings::types::Generation;

    fn table(columns: &[(&str, LogicalType, &str)]) -> TableSchema {
        TableSchema {
            table: "t".to_owned(),
            columns: columns
                .iter()
                .map(|(name, logical, origin)| Column {
                    name: (*name).to_owned(),
                    logical: logical.clone(),
                    origin: (*origin).to_owned(),
                    nullable: true,
                    default: None,
                    generation: Generation::None,
                })
                .collect(),
            primary_key: columns
                .iter()
                .take(1)
                .map(|(name, ..)| (*name).to_owned())
                .collect(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        }
    }

    fn check(incoming: &TableSchema, local: &TableSchema) -> Result<Fit, Failure> {
        fit(incoming.clone(), local, &Dialect::Postgres)
    }

    #[test]
    fn equal_and_convertible_columns_fit_in_any_order() {
        let remote = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("at", LogicalType::Timestamp, "pg:timestamp"),
        ]);
        let mut local = table(&[
            ("id", LogicalType::Integer, "sqlite:INTEGER"),
            ("at", LogicalType::Text, "sqlite:TEXT"),
        ]);
        check(&remote, &local).unwrap();
        local.columns.reverse();
        check(&remote, &local).unwrap();
        check(&local, &remote).unwrap();
    }

    #[test]
    fn every_difference_is_named() {
        let remote = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("a", LogicalType::Text, "pg:text"),
        ]);
        let mut local = table(&[
            ("id", LogicalType::Bytes, "pg:bytea"),
            ("b", LogicalType::Text, "pg:text"),
        ]);
        local.primary_key = vec!["b".to_owned()];
        let failure = check(&remote, &local).err().unwrap();
        assert_eq!(failure.code, "columns-differ");
        for part in [
            "different type: id (remote pg:bigint, local pg:bytea)",
            "different primary key (remote id, local b)",
        ] {
            assert!(
                failure.message.contains(part),
                "{part} in {}",
                failure.message
            );
        }
    }

    #[test]
    fn names_of_a_peer_are_printable_and_few_in_a_message() {
        let names: Vec<String> = (0..50).map(|number| format!("\u{1b}[2J{number}")).collect();
        let columns: Vec<(&str, LogicalType, &str)> = names
            .iter()
            .map(|name| (name.as_str(), LogicalType::Text, "pg:text"))
            .collect();
        let failure = check(&table(&columns), &table(&[])).err().unwrap();
        assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
        assert!(failure.message.contains("and 42 more"), "{failure:?}");
    }

    #[test]
    fn types_that_can_be_converted_fit() {
        use LogicalType as L;
        let other = || L::Other("inet".to_owned());
        let convertible = [
            (L::Any, L::Uuid),
            (L::Bytes, L::Any),
            (L::Text, L::Decimal),
            (L::Json, L::Text),
            (L::Text, other()),
            (L::Integer, L::Boolean),
            (L::Boolean, L::Integer),
            (L::Integer, L::Decimal),
            (L::Decimal, L::Integer),
            (L::Integer, L::Float),
            (L::Float, L::Decimal),
            (L::Decimal, L::Float),
        ];
        let mixed = |one: LogicalType, two: LogicalType| {
            let remote = table(&[("c", one, "pg:x")]);
            let local = table(&[("c", two, "sqlite:x")]);
            check(&remote, &local)
        };
        for (one, two) in convertible {
            assert!(mixed(one.clone(), two.clone()).is_ok(), "{one:?} {two:?}");
        }
        for (one, two) in [
            (L::Float, L::Integer),
            (L::Text, L::Integer),
            (L::Bytes, L::Text),
            (L::Boolean, L::Float),
            (other(), L::Other("cidr".to_owned())),
        ] {
            assert!(mixed(one.clone(), two.clone()).is_err(), "{one:?} {two:?}");
        }
        // Between two databases of SQLite every type fits.
        let same = |prefix: &str| {
            let (remote, local) = (format!("{prefix}:a"), format!("{prefix}:b"));
            let remote = table(&[("c", L::Bytes, remote.as_str())]);
            let local = table(&[("c", L::Json, local.as_str())]);
            check(&remote, &local)
        };
        assert!(same("pg").is_err());
        assert!(same("sqlite").is_ok());
    }

    #[test]
    fn computed_columns_are_not_compared() {
        let remote = table(&[("id", LogicalType::Integer, "pg:bigint")]);
        let mut local = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("sum", LogicalType::Integer, "pg:bigint"),
        ]);
        for column in &mut local.columns {
            if column.name == "sum" {
                column.generation = Generation::Computed;
            }
        }
        check(&remote, &local).unwrap();
    }

    #[test]
    fn an_integer_does_not_fit_into_a_timestamp() {
        let remote = table(&[("at", LogicalType::Integer, "sqlite:INTEGER")]);
        let local = table(&[("at", LogicalType::Timestamp, "pg:timestamp")]);
        assert!(check(&remote, &local).is_err());
    }

    #[test]
    fn types_of_postgresql_that_hold_the_same_values_fit() {
        use LogicalType as L;
        let list = |name: &str| L::Other(name.to_owned());
        let between = |one: &L, two: &L, dialect: &Dialect| {
            let remote = table(&[("c", one.clone(), "pg:a")]);
            fit(remote, &table(&[("c", two.clone(), "pg:b")]), dialect).is_ok()
        };
        for (one, two) in [
            (L::Integer, L::Decimal),
            (L::Decimal, L::Integer),
            (L::Integer, L::Float),
            (L::Float, L::Integer),
            (L::Integer, L::Text),
            (list("integer[]"), list("bigint[]")),
            (list("mood"), L::Text),
            (L::Text, list("mood")),
            (L::Text, L::Json),
            (L::Text, L::Uuid),
            (L::Date, L::Timestamp),
            (L::Timestamp, L::Date),
            (L::Boolean, L::Integer),
        ] {
            assert!(between(&one, &two, &Dialect::Postgres), "{one:?} {two:?}");
        }
        for (one, two) in [
            (L::Text, L::Integer),
            (L::Timestamp, L::Timestamptz),
            (L::Bytes, L::Text),
            (L::Uuid, L::Bytes),
            (L::Date, L::Integer),
        ] {
            assert!(!between(&one, &two, &Dialect::Postgres), "{one:?} {two:?}");
        }
        // In SQLite such a column would hold another form than its origin has.
        assert!(!between(&L::Date, &L::Timestamp, &Dialect::Sqlite));
    }

    #[test]
    fn columns_of_one_side_are_left_out_or_get_their_default() {
        let remote = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("extra", LogicalType::Text, "pg:text"),
            ("v", LogicalType::Text, "pg:text"),
        ]);
        let mut local = table(&[
            ("id", LogicalType::Integer, "pg:bigint"),
            ("v", LogicalType::Text, "pg:text"),
            ("own", LogicalType::Text, "pg:text"),
        ]);
        let Fit {
            incoming,
            source,
            left_out,
        } = check(&remote, &local).unwrap();
        let names: Vec<&str> = incoming
            .columns
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["id", "v"]);
        let source = source.unwrap();
        assert_eq!(
            (source.columns, source.left_out),
            (named(&["id", "v"]), named(&["extra"]))
        );
        assert!(
            left_out.iter().any(|text| text.contains("\"extra\"")),
            "{left_out:?}"
        );
        // A column that has to have a value, and one of the key.
        local.columns.last_mut().unwrap().nullable = false;
        let failure = check(&remote, &local).err().unwrap();
        assert!(failure.message.contains("local only: own"), "{failure:?}");
        local.columns.last_mut().unwrap().default = Some("''".to_owned());
        assert!(check(&remote, &local).is_ok());
        let mut keyed = remote.clone();
        keyed.primary_key.push("extra".to_owned());
        let failure = check(&keyed, &local).err().unwrap();
        assert!(
            failure.message.contains("remote only: extra"),
            "{failure:?}"
        );
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_may_differ_in_their_case_where_that_is_unambiguous() {
        let columns = |names: [&'static str; 3]| {
            table(&names.map(|name| (name, LogicalType::Integer, "pg:bigint")))
        };
        let remote = columns(["ID", "Größe", "x"]);
        let fitting = check(&remote, &columns(["id", "GRÖSSE", "x"]));
        assert!(fitting.is_ok_and(|fit| fit.source.unwrap().left_out == ["Größe"]));
        let Fit {
            incoming, source, ..
        } = check(&remote, &columns(["id", "größe", "x"])).unwrap();
        assert_eq!(incoming.primary_key, ["id"]);
        assert_eq!(source.unwrap().columns, ["ID", "Größe", "x"]);
        // Two columns of one side have the same name in another case.
        let source = check(&columns(["x", "a", "A"]), &columns(["x", "a", "b"]))
            .unwrap()
            .source;
        assert_eq!(source.unwrap().left_out, ["A"]);
        let ambiguous = check(&columns(["x", "Aa", "AA"]), &columns(["x", "aa", "b"])).unwrap();
        assert_eq!(ambiguous.source.unwrap().left_out, ["AA", "Aa"]);
    }
}
