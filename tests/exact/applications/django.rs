//! A Django project: its contrib applications, and one with all types of fields.

use super::move_and_compare;

const FILLED: &str = include_str!("django_sqlite.sql");
const SCHEMA: &str = include_str!("django_postgres.sql");

#[test]
fn a_django_project_moves_to_postgres_with_one_command() {
    // Django writes moments in UTC, and durations in microseconds.
    let options = [
        "--conversion",
        "parse",
        "--time-zone",
        "UTC",
        "--epoch",
        "us",
    ];
    move_and_compare(FILLED, SCHEMA, &options);
}
