//! Tests of complete transfers: whole databases, conflict strategies, differences and rejected rows.

mod children;
mod differences;
mod drift;
mod many_tables;
mod plugin_strategies;
mod postgres;
mod rejects;
mod sqlite;
mod strategies;
