//! Finds the operators by which keys are compared: those of their operator classes, which no other login can change.
//!
//! An operator of an extension's type is in the schema of the extension, where its name alone does not find it.

/// PostgreSQL's own `=`.
pub(in crate::database::postgres) const EQUALS: &str = "OPERATOR(pg_catalog.=)";

/// A comparison by a B-tree, by its number in the operator class (`stratnum.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) enum Strategy {
    Equal = 3,
    Greater = 5,
}

/// The operators of one column of a key, as statements name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::database::postgres) struct KeyOperators {
    pub equals: String,
    pub greater: String,
}

/// Returns an expression for the operators of the columns of the index `i`, in order. Shorter than the key if an index
/// is no B-tree.
pub(in crate::database::postgres) fn of_index(strategy: Strategy) -> String {
    let number = strategy as i32;
    format!(
        "ARRAY(SELECT {} FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k(class, position) \
         JOIN pg_catalog.pg_opclass s ON s.oid = k.class \
         JOIN pg_catalog.pg_am m ON m.oid = s.opcmethod AND m.amname = 'btree' \
         JOIN pg_catalog.pg_amop p ON p.amopfamily = s.opcfamily AND p.amopstrategy = {number} \
           AND p.amoplefttype = s.opcintype AND p.amoprighttype = s.opcintype \
         JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace ORDER BY k.position)",
        named("o.oprname", "n.nspname")
    )
}

/// Returns an expression for operators by their object identifiers, in order.
pub(in crate::database::postgres) fn of_numbers(numbers: &str) -> String {
    format!(
        "ARRAY(SELECT {} FROM unnest({numbers}) WITH ORDINALITY AS k(operator, position) \
         JOIN pg_catalog.pg_operator o ON o.oid = k.operator \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace ORDER BY k.position)",
        named("o.oprname", "n.nspname")
    )
}

fn named(operator: &str, schema: &str) -> String {
    format!(
        "'OPERATOR(' || pg_catalog.quote_ident({schema}::text) || '.' || {operator}::text || ')'"
    )
}
