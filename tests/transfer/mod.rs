//! Tests of complete transfers: whole databases, conflict strategies, differences and rejected rows.

mod differences;
mod many_tables;
mod plugin_strategies;
mod postgres;
mod rejects;
mod sqlite;
mod strategies;
