//! Tests that no setting of the database changes what is read or stored.

use super::*;

/// Every kind of value that is printed as text, or written as text, somewhere on its way.
const TABLE: &str = "CREATE SCHEMA other; CREATE TYPE other.mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN other.positive AS numeric(10, 2) CHECK (VALUE > 0);
    CREATE TYPE other.pair AS (a text, b timestamptz);
    CREATE TABLE t (id int PRIMARY KEY, n numeric, f8 float8, f4 float4, b bytea, d date, ts timestamp, tz timestamptz, tm time,
      tmz timetz, i interval, u uuid, j json, jb jsonb, x xml, m money, bit bit varying(9), inet inet, p point, tv tsvector, r tstzrange,
      e other.mood, dom other.positive, c other.pair, ta text[], fa float8[], ba bytea[], tza timestamptz[], ia interval[], xa xml[],
      ma money[], ea other.mood[], na numeric[], \"select\" text DEFAULT 'a\\b', rc regclass, l text COLLATE \"C\");
    INSERT INTO t VALUES (1, 1.10, 0.1, 0.1, '\\x00ff', '2024-02-01', '2024-02-01 03:04:05.678', '2024-02-01 03:04:05.678+00', '03:04:05.6',
      '03:04:05.6+02', '1 year -2 days 03:04:05', '00000000-0000-0000-0000-000000000001', '{\"a\": 1}', '{\"a\": 1}', '<a>1</a>', 12.5, B'101',
      '10.0.0.1/8', '(0.1,2)', 'a:1 b:2', '[2024-02-01 00:00+00,)', 'sad', 1.5, ('x', '2024-02-01 00:00+00'), '{NULL,\"NULL\",a}', '{0.1,NULL}',
      '{\"\\\\x00\",NULL}', '{2024-02-01 03:04:05+00,NULL}', '{1 day,NULL}', '{<a/>,NULL}', '{1.5,NULL}', '{sad,NULL}', '{1.10,NULL}', 'it''s \\ x', 'pg_class', NULL),
      (2, 'NaN', 'Infinity', '-Infinity', '', 'infinity', '-infinity', 'infinity', '24:00', '00:00-12', '-1 mon', NULL, 'null', 'null', 'text', -1, B'',
      '::1', '(1,-0)', '', 'empty', 'happy', 2, NULL, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '', 'pg_type', 'é')";

/// Settings that a database may have, and an unusual value of each. A time limit can end a session before it is set back.
const UNUSUAL: &str = "SELECT name || '=' || CASE
      WHEN name = 'TimeZone' THEN 'Asia/Kolkata' WHEN name = 'DateStyle' THEN 'German, DMY' WHEN name = 'search_path' THEN 'public, other'
      WHEN name IN ('lc_monetary', 'lc_numeric', 'lc_time') THEN 'C' WHEN name = 'default_text_search_config' THEN 'german'
      WHEN vartype = 'bool' THEN CASE boot_val WHEN 'on' THEN 'off' ELSE 'on' END
      WHEN vartype = 'enum' THEN (SELECT v FROM unnest(enumvals) v WHERE v <> coalesce(boot_val, '') ORDER BY v DESC LIMIT 1)
      WHEN vartype IN ('integer', 'real') AND name ~ '(digits|limit|_length)' THEN CASE boot_val WHEN min_val THEN '1' ELSE min_val END
      ELSE NULL END
    FROM pg_settings WHERE context IN ('user', 'superuser') AND name !~ '^(log_|transaction_|debug_print|tcp_|temp_)'
    AND name NOT IN ('role', 'session_authorization', 'client_encoding', 'default_transaction_read_only', 'exit_on_error', 'is_superuser') ORDER BY name";

async fn image(site: &Site, url: &str) -> (TableSchema, u128) {
    let database = PostgresDatabase::open(url).await.unwrap();
    let snapshot = database.snapshot().await.unwrap();
    let schema = snapshot.describe("t").await.unwrap();
    let (sender, mut receiver) = mpsc::channel::<RowBlock>(10);
    snapshot.read(Read::all(&schema), sender).await.unwrap();
    let block = receiver.recv().await.unwrap();
    assert_eq!(block.row_count(), 2, "{}", site.name);
    (schema, block.digest())
}

#[tokio::test]
async fn no_setting_of_the_database_changes_what_is_read() {
    let Some(mut site) = Site::new(TABLE).await else {
        return;
    };
    let url = site.server.url(&site.name);
    let expected = image(&site, &url).await;
    let settings = sqlx::raw_sql(AssertSqlSafe(UNUSUAL.to_owned()))
        .fetch_all(&mut site.admin)
        .await
        .unwrap();
    let (mut tried, name) = (0, site.name.clone());
    let mut wrong = Vec::new();
    for setting in &settings {
        let Some(setting) = setting.get::<Option<String>, _>(0) else {
            continue;
        };
        let (setting, value) = setting.split_once('=').unwrap();
        let value = match setting {
            "search_path" => value.to_owned(),
            _ => format!("'{value}'"),
        };
        let set = format!("ALTER DATABASE {name} SET {setting} = {value}");
        if sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&mut site.admin)
            .await
            .is_err()
        {
            continue;
        }
        tried += 1;
        let (schema, digest) = image(&site, &url).await;
        // Types are named as the login finds them.
        if digest != expected.1 || setting != "search_path" && schema != expected.0 {
            wrong.push(setting.to_owned());
        }
        site.run(&format!("ALTER DATABASE {name} RESET {setting}"))
            .await;
    }
    assert_eq!(wrong, [] as [&str; 0]);
    assert!(tried > 80, "only {tried} settings were tried");
}

#[tokio::test]
async fn a_setting_that_only_a_superuser_may_set_is_named() {
    let Some(mut site) = Site::new("CREATE TABLE t (id int PRIMARY KEY)").await else {
        return;
    };
    let (login, name) = (site.server.unique_name("plain"), site.name.clone());
    site.run(&format!(
        "CREATE ROLE {login} LOGIN PASSWORD 'pw'; ALTER ROLE {login} IN DATABASE {name} SET session_replication_role = replica"
    ))
    .await;
    let url = site.server.url_as(&login, "pw", &name);
    let refused = PostgresDatabase::open(&url).await.err().unwrap();
    assert!(
        refused.to_string().contains("session_replication_role"),
        "{refused}"
    );
    site.run(&format!("ALTER DATABASE {name} SET session_replication_role = replica; DROP OWNED BY {login}; DROP ROLE {login}"))
        .await;
    let url = site.server.url(&name);
    let database = PostgresDatabase::open(&url).await.unwrap();
    assert!(
        database.target().await.is_ok(),
        "a superuser's sessions set it back"
    );
}

#[tokio::test]
async fn a_login_without_a_schema_is_told_what_to_do() {
    let Some(mut site) =
        Site::new("CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)").await
    else {
        return;
    };
    let name = site.name.clone();
    for path in ["''", "missing", "pg_catalog"] {
        site.run(&format!("ALTER DATABASE {name} SET search_path = {path}"))
            .await;
        let url = site.server.url(&name);
        let refused = PostgresDatabase::open(&url).await.err().unwrap();
        let failure = crate::bindings::types::Failure::from(refused);
        assert!(
            failure.message.contains("search_path") && failure.hint.contains("?schema="),
            "{failure:?}"
        );
        let sign = if url.contains('?') { '&' } else { '?' };
        let database = PostgresDatabase::open(&format!("{url}{sign}schema=app"))
            .await
            .unwrap();
        assert_eq!(database.tables().await.unwrap()[0].table, "t");
        let missing = PostgresDatabase::open(&format!("{url}{sign}schema=none"))
            .await
            .err()
            .unwrap();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
