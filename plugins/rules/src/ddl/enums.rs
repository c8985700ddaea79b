//! The enums of PostgreSQL that a new table needs and the target does not have.

use std::collections::BTreeSet;

use super::Origin;
use super::literal::Literal;
use super::postgres::{MAX_NAME, quoted};
use crate::bindings::types::{EnumType, Statement, StatementKind, TableSchema};
use crate::columns::sent_columns;

/// Returns the statements that create the enums, and the names of the types that columns can have after them. `types` are
/// the user-defined types that the target has.
///
/// An enum is not created if it is in another schema than the new table, or if its name is not a plain name.
pub fn create(incoming: &TableSchema, types: &[String]) -> (Vec<Statement>, Vec<String>) {
    let used: BTreeSet<&str> = sent_columns(incoming)
        .filter_map(|column| match Origin::from(column) {
            Origin::Postgres(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut statements = Vec::new();
    let mut created = Vec::new();
    for kind in &incoming.enums {
        let names = [kind.name.clone(), format!("{}[]", kind.name)];
        let is_used = names.iter().any(|name| used.contains(name.as_str()));
        let is_known = names.iter().any(|name| types.contains(name));
        if let Some(sql) = statement(kind).filter(|_| is_used && !is_known) {
            statements.push(Statement {
                kind: StatementKind::CreateType,
                object: incoming.table.clone(),
                sql,
            });
            created.extend(names);
        }
    }
    (statements, created)
}

fn statement(kind: &EnumType) -> Option<String> {
    let name = quoted(&kind.name).filter(|name| name.matches('"').count() == 2)?;
    let is_name = name.ends_with('"') && name.len() <= MAX_NAME + 2;
    let possible = |label: &String| label.len() <= MAX_NAME && !label.contains('\0');
    if !is_name || !kind.labels.iter().all(possible) {
        return None;
    }
    let labels: Vec<String> = kind
        .labels
        .iter()
        .map(|label| Literal::Text(label.clone()).sql())
        .collect();
    Some(format!(
        "CREATE TYPE {name} AS ENUM ({})",
        labels.join(", ")
    ))
}
