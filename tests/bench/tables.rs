//! The tables that are filled with generated rows.

/// The table of most cases.
pub const ITEMS: &str = "items";

/// Its columns in PostgreSQL.
pub const POSTGRES_COLUMNS: &str = "id bigint PRIMARY KEY, email text NOT NULL, price numeric(12,2) NOT NULL, \
     updated_at timestamptz NOT NULL, active boolean NOT NULL, details jsonb NOT NULL, \
     score double precision NOT NULL, note text";

/// Its columns in SQLite.
pub const SQLITE_COLUMNS: &str = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, price NUMERIC NOT NULL, \
     updated_at TEXT NOT NULL, active BOOLEAN NOT NULL, details TEXT NOT NULL, \
     score REAL NOT NULL, note TEXT";

/// Its columns but for the key.
pub const VALUES: [&str; 7] = [
    "email",
    "price",
    "updated_at",
    "active",
    "details",
    "score",
    "note",
];

/// What `ON CONFLICT` sets, for all columns but the key.
pub fn assignments() -> String {
    let one = |column: &&str| format!("{column} = excluded.{column}");
    let all: Vec<String> = VALUES.iter().map(one).collect();
    all.join(", ")
}

/// The columns of a wide table, as `data::write_wide` fills them.
pub fn wide_columns(columns: usize) -> String {
    let kind = |column: usize| match column % 4 {
        0 => "bigint",
        1 => "text",
        2 => "double precision",
        _ => "timestamptz",
    };
    let rest = (1..columns).map(|column| format!(", c{column} {}", kind(column)));
    format!("id bigint PRIMARY KEY{}", rest.collect::<String>())
}
