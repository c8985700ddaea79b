//! The data of the demo: a shop of four tables, the same on every machine and in every run.

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, QueryBuilder, Sqlite,
    SqliteConnection,
};

/// Rows of all tables together.
pub const ROWS: u64 = 100_000;

const CUSTOMERS: i64 = 10_000;
const PRODUCTS: i64 = 1_000;
const ORDERS: i64 = 29_000;
const ITEMS: i64 = 60_000;

/// Rows of one INSERT: with six columns each, far below SQLite's limit of parameters.
const BATCH: usize = 1_000;

const SCHEMA: &str = "
    CREATE TABLE customers (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        email TEXT NOT NULL UNIQUE,
        city VARCHAR(40),
        joined DATE NOT NULL,
        points INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE products (
        id INTEGER PRIMARY KEY,
        title TEXT NOT NULL,
        price DECIMAL(10,2) NOT NULL,
        weight REAL,
        image BLOB
    );
    CREATE TABLE orders (
        id INTEGER PRIMARY KEY,
        customer_id INTEGER NOT NULL REFERENCES customers (id),
        ordered_at DATETIME NOT NULL,
        status TEXT NOT NULL DEFAULT 'new',
        note TEXT
    );
    CREATE TABLE order_items (
        id INTEGER PRIMARY KEY,
        order_id INTEGER NOT NULL REFERENCES orders (id),
        product_id INTEGER NOT NULL REFERENCES products (id),
        quantity INTEGER NOT NULL,
        price DECIMAL(10,2) NOT NULL
    );
    CREATE INDEX orders_of_customer ON orders (customer_id);
    CREATE INDEX items_of_order ON order_items (order_id);
";

/// The older half of each table. Foreign keys point to older rows, so the half is complete in itself.
const HALF: &str = "
    INSERT INTO customers SELECT * FROM source.customers WHERE id <= 5000;
    INSERT INTO products SELECT * FROM source.products WHERE id <= 500;
    INSERT INTO orders SELECT * FROM source.orders WHERE id <= 14500;
    INSERT INTO order_items SELECT * FROM source.order_items WHERE id <= 30000;
";

/// 100 + 50 + 250 + 600 rows of that half.
const DIFFERENCES: &str = "
    UPDATE customers SET email = 'old.' || email, city = NULL WHERE id % 50 = 0;
    UPDATE products SET price = price + 1 WHERE id % 10 = 0;
    UPDATE orders SET status = 'draft', note = 'written here' WHERE id % 58 = 0;
    UPDATE order_items SET quantity = quantity + 1 WHERE id % 50 = 0;
";

const FIRST_NAMES: &[&str] = &[
    "Ana", "Björn", "Chloé", "Dmitri", "Élise", "Fatima", "Giulia", "Hiroshi", "Inês", "José",
    "Kofi", "Łucja", "Mei", "Noah", "Olga", "Priya", "Quentin", "Rosa", "Søren", "Tomás", "Ümit",
    "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Almeida", "Becker", "Costa", "Dubois", "Eriksson", "Fischer", "García", "Haddad", "Ito",
    "Jansen", "Kowalska", "Larsen", "Müller", "Nowak", "O'Brien", "Petrov", "Rossi", "Silva",
    "Tanaka", "Weiß",
];
const CITIES: &[&str] = &[
    "Lisboa",
    "Porto",
    "Zürich",
    "Kraków",
    "Malmö",
    "Lyon",
    "Kyōto",
    "Αθήνα",
    "São Paulo",
    "Accra",
];
const ADJECTIVES: &[&str] = &[
    "Small", "Large", "Blue", "Wooden", "Folding", "Quiet", "Heavy", "Striped", "Smart", "Plain",
];
const THINGS: &[&str] = &[
    "chair", "lamp", "kettle", "notebook", "umbrella", "bottle", "rug", "clock", "basket", "mirror",
];
const STATES: &[&str] = &["paid", "packed", "shipped", "delivered", "returned"];
const NOTES: &[&str] = &[
    "ring twice",
    "leave at the neighbour's",
    "gift, no invoice",
    "first floor\nleft door",
    "🎁 please wrap",
];

/// Creates both files: the source with all rows, the target with half of them, 1,000 of which differ.
pub async fn generate(source: &Path, target: &Path) -> Result<(), std::io::Error> {
    fill_source(source).await.map_err(std::io::Error::other)?;
    fill_target(source, target)
        .await
        .map_err(std::io::Error::other)
}

async fn create(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // The files live for seconds.
        .synchronous(SqliteSynchronous::Off);
    let mut connection = options.connect().await?;
    connection.execute(SCHEMA).await?;
    Ok(connection)
}

async fn fill_source(path: &Path) -> Result<(), sqlx::Error> {
    let mut connection = create(path).await?;
    let mut transaction = connection.begin().await?;
    let mut random = Random(7_432);
    insert(&mut transaction, "customers", 1..=CUSTOMERS, |row, id| {
        let (first, last) = (random.pick(FIRST_NAMES), random.pick(LAST_NAMES));
        row.push_bind(id)
            .push_bind(format!("{first} {last}"))
            .push_bind(format!("{}.{id}@example.com", ascii(last)))
            .push_bind((random.below(10) > 0).then(|| random.pick(CITIES)))
            .push_bind(time(id, CUSTOMERS).strftime("%Y-%m-%d").to_string())
            .push_bind(random.below(5_000));
    })
    .await?;
    insert(&mut transaction, "products", 1..=PRODUCTS, |row, id| {
        let (adjective, thing) = (random.pick(ADJECTIVES), random.pick(THINGS));
        row.push_bind(id)
            .push_bind(format!("{adjective} {thing} no. {id}"))
            .push_bind(random.price())
            .push_bind((random.below(4) > 0).then(|| random.fraction() * 20.0))
            .push_bind((random.below(3) > 0).then(|| random.bytes()));
    })
    .await?;
    insert(&mut transaction, "orders", 1..=ORDERS, |row, id| {
        row.push_bind(id)
            .push_bind(random.older(id, ORDERS, CUSTOMERS))
            .push_bind(time(id, ORDERS).strftime("%Y-%m-%d %H:%M:%S").to_string())
            .push_bind(random.pick(STATES))
            .push_bind((random.below(8) == 0).then(|| random.pick(NOTES)));
    })
    .await?;
    insert(&mut transaction, "order_items", 1..=ITEMS, |row, id| {
        row.push_bind(id)
            .push_bind((id * ORDERS + ITEMS - 1) / ITEMS)
            .push_bind(random.older(id, ITEMS, PRODUCTS))
            .push_bind(1 + random.below(5))
            .push_bind(random.price());
    })
    .await?;
    transaction.commit().await?;
    connection.close().await
}

async fn fill_target(source: &Path, target: &Path) -> Result<(), sqlx::Error> {
    let mut connection = create(target).await?;
    sqlx::query("ATTACH ? AS source")
        .bind(source.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await?;
    let sql = format!("BEGIN; {HALF} {DIFFERENCES} COMMIT; DETACH source;");
    connection.execute(AssertSqlSafe(sql)).await?;
    connection.close().await
}

type Values<'a, 'b> = sqlx::query_builder::Separated<'a, Sqlite, &'b str>;

/// Inserts one row for each id, many in one statement.
async fn insert(
    connection: &mut SqliteConnection,
    table: &str,
    ids: std::ops::RangeInclusive<i64>,
    mut row: impl FnMut(&mut Values<'_, 'static>, i64),
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = ids.collect();
    for batch in ids.chunks(BATCH) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO {table} "));
        query.push_values(batch, |mut values, &id| row(&mut values, id));
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Returns the time of row `id` of `all`, which are spread evenly over five years from 2020 on.
fn time(id: i64, all: i64) -> Timestamp {
    const BEGIN: i64 = 1_577_836_800;
    const YEARS: i64 = 5 * 365 * 86_400;
    Timestamp::from_second(BEGIN + YEARS / all * id + id % 60).unwrap_or_default()
}

fn ascii(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    letters.collect::<String>().to_lowercase()
}

/// SplitMix64: numbers that look random and are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 to below `end`.
    fn below(&mut self, end: i64) -> i64 {
        let end = end.unsigned_abs().max(1);
        i64::try_from(self.next() % end).unwrap_or_default()
    }

    fn pick(&mut self, list: &'static [&'static str]) -> &'static str {
        let end = i64::try_from(list.len()).unwrap_or_default();
        let position = usize::try_from(self.below(end)).unwrap_or_default();
        list.get(position).copied().unwrap_or_default()
    }

    /// Returns an id of the `others` rows that is not newer than row `id` of `all`.
    fn older(&mut self, id: i64, all: i64, others: i64) -> i64 {
        1 + self.below((id * others / all).max(1))
    }

    /// Returns a number from 0 to below 1.
    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default())
            / (f64::from(u32::MAX) + 1.0)
    }

    /// Returns an amount with cents. SQLite stores whole amounts of a decimal column as integers.
    fn price(&mut self) -> f64 {
        let cents = u32::try_from(99 + self.below(20_000)).unwrap_or_default();
        f64::from(cents) / 100.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        [self.next(), self.next()]
            .iter()
            .flat_map(|half| half.to_be_bytes())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::compare;
    use super::*;

    #[tokio::test]
    async fn the_target_has_half_of_the_rows_and_a_thousand_of_them_differ() {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("a.db"), folder.path().join("b.db"));
        generate(&source, &target).await.unwrap();

        let tables = compare::files(&source, &target).await.unwrap();
        let sum = |of: fn(&compare::Comparison) -> u64| tables.iter().map(of).sum::<u64>();
        let names: Vec<_> = tables.iter().map(|table| table.table.as_str()).collect();
        assert_eq!(names, ["customers", "products", "orders", "order_items"]);
        assert_eq!(sum(|table| table.rows), ROWS);
        assert_eq!(sum(|table| table.missing), ROWS / 2);
        assert_eq!(sum(|table| table.different), 1_000);
        assert_eq!(sum(|table| table.surplus), 0);

        for file in [&source, &target] {
            let options = SqliteConnectOptions::new().filename(file).read_only(true);
            let mut connection = options.connect().await.unwrap();
            let broken = connection
                .fetch_all("PRAGMA foreign_key_check")
                .await
                .unwrap();
            assert!(broken.is_empty(), "{file:?}");
            connection.close().await.unwrap();
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_published_algorithm() {
        let mut random = Random(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn references_point_to_older_rows_only() {
        let mut random = Random(1);
        for id in 1..=ORDERS {
            let customer = random.older(id, ORDERS, CUSTOMERS);
            assert!((1..=CUSTOMERS).contains(&customer));
            assert!(id > ORDERS / 2 || customer <= CUSTOMERS / 2);
        }
    }
}
