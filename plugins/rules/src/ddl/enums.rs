//! Enums of PostgreSQL that a new table's columns have and its database lacks.

use std::collections::BTreeSet;

use super::literal::Literal;
use super::postgres::{MAX_NAME, quoted};
use crate::bindings::types::{EnumType, Generation, Statement, StatementKind, TableSchema};

/// The statements that make them, and the names of the types that columns can have then. `types`: those that they can
/// have already.
///
/// A type in another schema than the new table's, or of a name that a statement cannot be trusted with, is not made.
pub fn create(incoming: &TableSchema, types: &[String]) -> (Vec<Statement>, Vec<String>) {
    let used: BTreeSet<&str> = incoming
        .columns
        .iter()
        .filter(|column| column.generation != Generation::Computed)
        .filter_map(|column| column.origin.strip_prefix("pg:"))
        .collect();
    let mut statements = Vec::new();
    let mut made = Vec::new();
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
            made.extend(names);
        }
    }
    (statements, made)
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
