//! Tests that values, types and table definitions arrive exactly as they were sent, or are refused by name.

mod built_in_types;
mod conversions;
mod declared_types;
mod enums;
mod generated_tables;
mod held_values;
mod numbered_keys;
mod refusals;
mod round_trips;
mod storage_classes;
mod table_definitions;
mod user_defined_types;
