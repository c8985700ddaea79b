//! Tests that a value which only the server refuses costs its own row and no other, on every way into a table.

use super::*;

/// A function that raises the error that it is given the code of, in the words of a value.
const RAISE: &str = "CREATE FUNCTION fails(code text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN IF length(code) = 5 THEN RAISE EXCEPTION 'secret of %', code USING ERRCODE = code; END IF; RETURN true; END $$;";

/// A column's type and what follows it, a value that it takes, and one that it does not.
type Case = (&'static str, String, String);

fn case(declared: &'static str, good: &str, bad: &str) -> Case {
    (declared, good.to_owned(), bad.to_owned())
}

/// A text that does not get shorter when it is compressed.
fn incompressible(length: usize) -> String {
    let mut state = 1u64;
    let mut text = String::new();
    while text.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push(char::from(b'!' + (state >> 33) as u8 % 90));
    }
    text
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("jsonb", "{\"a\": 1}", "\"\\u0000\""),
        case("jsonb", "{}", "\"\\ud83d\""),
        case("jsonb", "{}", "{\"n\":1e999999}"),
        (
            "jsonb",
            "{}".to_owned(),
            "[".repeat(300_000) + &"]".repeat(300_000),
        ),
        ("text UNIQUE", String::new(), incompressible(12_800)),
        case("mood", "ok", "unheard of"),
        case("xml", "<a/>", "<a>"),
        ("tsvector", "'a'".to_owned(), "a".repeat(3_000)),
        case("tsquery", "'a' & 'b'", "a b"),
        case("bit(3)", "101", "1012"),
        case("inet", "10.0.0.1", "10.0.0.256"),
        case("cidr", "10.0.0.0/8", "10.0.0.1/8"),
        case("macaddr", "08:00:2b:01:02:03", "08:00"),
        case("money", "$1.00", "99999999999999999999999"),
        case("int4range", "[1,2)", "[2,1)"),
        case("int4[]", "{1}", "{1,99999999999}"),
        case("int4[]", "{{1}}", "{{1},{1,2}}"),
        case("interval", "00:00:01", "99999999999 years"),
        case("point", "(1,2)", "(1,"),
        case("regclass", "pg_class", "no_such_table"),
        case("regclass", "pg_class", "a.b.c"),
        case("regrole", "-", "no_such_role"),
        case("regproc", "now", "length"),
        case("regprocedure", "now()", "no_such_function(integer)"),
        case("regnamespace", "public", "no_such_schema"),
        case("regtype", "integer", "no_such_type"),
        case("regtype", "integer", "a'b(("),
        case("jsonpath", "$.\"a\"", "$.$"),
        case("pg_lsn", "0/1", "1"),
        case("oid", "1", "-99999999999"),
        case("yes", "good", "bad"),
        case("text CHECK (length(v) > 2)", "good", "no"),
        case(
            "text, g int GENERATED ALWAYS AS (10 / (length(v) - 2)) STORED",
            "good",
            "no",
        ),
        case("text, EXCLUDE USING hash (v WITH =)", "", "taken"),
    ];
    for code in [
        "ABC12", "40001", "42501", "42883", "53100", "57P01", "XX001",
    ] {
        cases.push(case("text CHECK (fails(v))", "good", code));
    }
    cases.push(case("raising", "good", "08006"));
    cases.push(case("raising_array", "{good}", "{42704}"));
    cases
}

const TYPES: &str = "CREATE TYPE mood AS ENUM ('ok', 'sad');
    CREATE DOMAIN yes AS text CHECK (VALUE <> 'bad');
    CREATE DOMAIN raising AS text CHECK (fails(VALUE));
    CREATE DOMAIN raising_one AS text CHECK (fails(VALUE));
    CREATE DOMAIN raising_array AS raising_one[];";

/// A way into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Skip,
    Overwrite,
    RowByRow,
    Keyless,
    Retry,
}

const WAYS: [Way; 6] = [
    Way::Direct,
    Way::Skip,
    Way::Overwrite,
    Way::RowByRow,
    Way::Keyless,
    Way::Retry,
];

fn schema() -> TableSchema {
    announced(
        "t",
        &[("id", LogicalType::Integer), ("v", LogicalType::Text)],
        &["id"],
    )
}

/// Loads rows as a run does: a table that does not take them directly takes them through a staging.
async fn load(
    site: &Site,
    mut write: TableWrite,
    rows: &RowBlock,
) -> Result<ChunkCounts, DatabaseError> {
    loop {
        let mut target = site.target().await;
        let mut writer = target.begin_table(write.clone()).await?;
        let _ = writer.stage(rows).await?;
        if write.row_by_row {
            loop {
                let page = writer.conflicts(10).await?;
                if page.is_empty() {
                    break;
                }
                let taken = page
                    .iter()
                    .map(|one| (one.position, crate::database::Resolution::TakeIncoming));
                writer.resolve(taken.collect()).await?;
            }
        }
        match writer.commit().await? {
            Step::Done(counts) => {
                writer.finish(&[]).await?;
                return Ok(counts);
            }
            Step::NeedsStaging => {
                writer.rollback().await?;
                write.mode = LoadMode::Staged;
            }
        }
    }
}

#[tokio::test]
async fn one_value_that_only_the_server_refuses_costs_one_row_on_every_way_in_postgres() {
    let Some(mut site) = Site::new(&format!("{RAISE} {TYPES}")).await else {
        return;
    };
    let mut wrong = Vec::new();
    for (number, (declared, good, bad)) in cases().into_iter().enumerate() {
        for (at, way) in WAYS.into_iter().enumerate() {
            // The first cases take every way, the others two.
            if number >= 3 && number % WAYS.len() != at && way != Way::RowByRow {
                continue;
            }
            let unique = declared.contains("UNIQUE") || declared.contains("EXCLUDE");
            let row = |id: i64| {
                let value = match (id == 7, unique) {
                    (true, _) => bad.clone(),
                    (false, true) => format!("{good}{id}"),
                    (false, false) => good.clone(),
                };
                vec![Cell::Integer(id), text(&value)]
            };
            let rows = block(&(1..=20).map(row).collect::<Vec<_>>());
            let make = format!("CREATE TABLE t (id int PRIMARY KEY, v {declared})");
            site.run("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS tombolo CASCADE")
                .await;
            if way != Way::Direct {
                site.run(&make).await;
            }
            if declared.contains("EXCLUDE") {
                if way == Way::Direct {
                    continue;
                }
                site.run("INSERT INTO t VALUES (100, 'taken')").await;
            }
            if matches!(way, Way::Overwrite | Way::RowByRow) {
                site.run("INSERT INTO t SELECT n, NULL FROM generate_series(1, 20) n")
                    .await;
            }
            let schema = schema();
            let plan = match way {
                Way::Overwrite | Way::RowByRow => overwrite(&schema),
                Way::Keyless => SetPlan {
                    key: Vec::new(),
                    regenerate_key: false,
                    update: None,
                },
                _ => skip(&schema),
            };
            let mut write = table_write(&schema, plan);
            write.row_by_row = way == Way::RowByRow;
            if way == Way::Direct {
                write = created(write, &[&make]);
            }
            if way == Way::Retry {
                let first = block(&[vec![Cell::Integer(500), text(&bad)]]);
                load(&site, write.clone(), &first).await.ok();
                write.retry = true;
            }
            let outcome = load(&site, write, &rows).await;
            let failed = outcome
                .as_ref()
                .map(|counts| counts.failed)
                .map_err(ToString::to_string);
            let rejects = site.database.rejects(100).await.unwrap_or_default();
            let seen: Vec<_> = rejects.iter().map(|reject| reject.reason.clone()).collect();
            let shows = seen
                .iter()
                .any(|reason| reason.contains("secret") || reason.contains("no_such"));
            let keys: Vec<_> = rejects
                .iter()
                .map(|reject| format!("{:?}", reject.key))
                .collect();
            let filled = site
                .value("SELECT count(*) FROM t WHERE v IS NOT NULL AND id <> 100")
                .await;
            if failed != Ok(1)
                || rejects.len() != 1
                || shows
                || filled != "19"
                || !keys[0].contains('7')
            {
                wrong.push(format!(
                    "{way:?} {declared} {:.20}: {failed:?} {filled} {keys:?} {seen:?}",
                    bad
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn a_row_wider_than_a_page_costs_itself_in_postgres() {
    let columns: Vec<String> = (0..1_200).map(|number| format!("c{number}")).collect();
    let declared: String = columns
        .iter()
        .map(|name| format!(", {name} int8"))
        .collect();
    let make = format!("CREATE TABLE t (id int PRIMARY KEY{declared})");
    let Some(mut site) = Site::new(&make).await else {
        return;
    };
    let mut named = vec![("id", LogicalType::Integer)];
    named.extend(
        columns
            .iter()
            .map(|name| (name.as_str(), LogicalType::Integer)),
    );
    let schema = announced("t", &named, &["id"]);
    let row = |id: i64| {
        let cell = |_| match id == 3 {
            true => Cell::Integer(id),
            false => Cell::Null,
        };
        let mut row = vec![Cell::Integer(id)];
        row.extend(columns.iter().map(cell));
        row
    };
    let rows = block(&(1..=5).map(row).collect::<Vec<_>>());
    for direct in [true, false] {
        site.run("DROP TABLE t; DROP SCHEMA IF EXISTS tombolo CASCADE")
            .await;
        let mut write = table_write(&schema, overwrite(&schema));
        match direct {
            true => write = created(write, &[&make]),
            false => site.run(&make).await,
        }
        let moved = load(&site, write, &rows).await.unwrap();
        assert_eq!(moved, failed(counts(4, 0, 0, 0), 1));
        let rejects = site.database.rejects(10).await.unwrap();
        assert!(rejects[0].reason.contains("row is too big"), "{rejects:?}");
    }
}

#[tokio::test]
async fn a_character_that_the_encoding_does_not_have_costs_its_row_in_postgres() {
    let Some(site) = Site::new("").await else {
        return;
    };
    let name = site.server.unique_name("latin");
    let mut maintenance = PgConnection::connect(&site.server.url("postgres"))
        .await
        .unwrap();
    let create = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    sqlx::raw_sql(AssertSqlSafe(create))
        .execute(&mut maintenance)
        .await
        .unwrap();
    let url = site.server.url(&name);
    let mut latin = Site {
        server: site.server,
        admin: PgConnection::connect(&url).await.unwrap(),
        database: PostgresDatabase::open(&url).await.unwrap(),
        name,
    };
    let make = "CREATE TABLE t (id int PRIMARY KEY, v text)";
    let row = |id: i64| {
        vec![
            Cell::Integer(id),
            text(if id == 2 { "\u{1f600}" } else { "é" }),
        ]
    };
    let rows = block(&(1..=5).map(row).collect::<Vec<_>>());
    for direct in [true, false] {
        latin
            .run("DROP TABLE IF EXISTS t; DROP SCHEMA IF EXISTS tombolo CASCADE")
            .await;
        let mut write = table_write(&schema(), overwrite(&schema()));
        match direct {
            true => write = created(write, &[make]),
            false => latin.run(make).await,
        }
        let moved = load(&latin, write, &rows).await.unwrap();
        assert_eq!(moved, failed(counts(4, 0, 0, 0), 1));
        let rejects = latin.database.rejects(10).await.unwrap();
        assert!(
            rejects[0].reason.contains("does not have a character"),
            "{rejects:?}"
        );
    }
}

#[tokio::test]
async fn triggers_and_partitions_may_refuse_a_row_with_any_code_in_postgres() {
    let trigger = "CREATE FUNCTION check_it() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM fails(NEW.v); RETURN NEW; END';";
    let makes = [
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         CREATE TRIGGER c BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION check_it();",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         CREATE TRIGGER c AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION check_it();",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         CREATE CONSTRAINT TRIGGER c AFTER INSERT OR UPDATE ON t DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION check_it();",
        "CREATE TABLE t (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (1) TO (7);
         CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (8) TO (100);",
    ];
    for make in makes {
        let Some(site) = Site::new(&format!("{RAISE} {trigger} {make}")).await else {
            return;
        };
        for code in ["57P01", "40001", "XY123", "42P01"] {
            let row = |id: i64| vec![Cell::Integer(id), text(if id == 7 { code } else { "good" })];
            let rows = block(&(1..=20).map(row).collect::<Vec<_>>());
            let mut write = table_write(&schema(), overwrite(&schema()));
            write.run = code.to_owned();
            let moved = load(&site, write, &rows).await.unwrap();
            assert_eq!(moved.failed, 1, "{make} {code}");
        }
        let rejects = site.database.rejects(10).await.unwrap();
        assert!(
            rejects.iter().all(|one| !one.reason.contains("secret")),
            "{rejects:?}"
        );
    }
}

#[tokio::test]
async fn what_no_row_causes_ends_the_run_in_postgres() {
    let makes = [
        // Every statement is refused, whatever the rows.
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int);
         CREATE FUNCTION denied() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN RAISE EXCEPTION ''no'' USING ERRCODE = ''42501''; END';
         CREATE TRIGGER c BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION denied();",
        // A function names a table that it does not find.
        "CREATE FUNCTION looks(v text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM 1 FROM no_such_table; RETURN true; END';
         CREATE TABLE t (id int PRIMARY KEY, v text CHECK (looks(v)));",
    ];
    for make in makes {
        let Some(site) = Site::new(make).await else {
            return;
        };
        let rows = block(&[
            vec![Cell::Integer(1), text("a")],
            vec![Cell::Integer(2), text("b")],
        ]);
        let write = table_write(&schema(), overwrite(&schema()));
        let error = load(&site, write, &rows).await.unwrap_err();
        assert!(
            matches!(
                error,
                DatabaseError::Refused(_) | DatabaseError::Unqualified(_)
            ),
            "{error}"
        );
    }
}
