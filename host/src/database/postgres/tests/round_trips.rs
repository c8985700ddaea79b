//! Tests that values of all types come back as they were sent, or are refused.

use super::*;

/// Every native type, awkward values, and types that are sent as text.
const SCHEMA: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"', 'happy');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN cents AS numeric(12,2) CHECK (VALUE >= 0);
    CREATE DOMAIN moods AS mood[];
    CREATE TABLE \"All \"\"types\"\"\" (
      id bigint PRIMARY KEY, b boolean, i2 smallint, i4 int, f4 real, f8 double precision, n numeric, m numeric(12,2),
      t text, v varchar(5), c char(5), nm name, by bytea, d date, ti time, tz timetz, ts timestamp, tt timestamptz,
      ts3 timestamp(3), iv interval, u uuid, j json, jb jsonb, e mood, ea mood[], ia int[][], na numeric(5,2)[],
      vc varchar(3)[], p pair, r int4range, mo money, ip inet, bi bit(3), x xml, dc cents, dm moods, ch \"char\",
      doubled int GENERATED ALWAYS AS (i2 * 2) STORED)";

const ROWS: &str = r#"
    INSERT INTO "All ""types""" VALUES
    (1, true, -32768, 2147483647, 'NaN', '-0', 1.50, 12.30, E'a\nb\\', 'ab', 'ab', 'nam', '\x00ff', '0044-03-15 BC',
     '24:00', '04:05:06.789+02', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00+00 BC', '2024-01-01 10:00:00.123',
     '1 year -2 days 03:04:05.6', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1,  "a": [1.10, null]}',
     '{"b": 1, "a": [1.10, null]}', 'it''s "ok"', '{sad,NULL,"it''s \"ok\""}', '[0:1][1:2]={{1,2},{3,NULL}}',
     '{1.10,NULL}', '{abc,"d ,"}', '(1,"x,""y")', '[1,5)', '-12.34', '10.0.0.0/8', '101', '<a>1</a>', 12.30,
     '{sad}', 'z'),
    (2, false, 0, 0, '1e-45', 1e-307, 0.0000000000000000000000000000001, 0, '', '', '', '', '', 'infinity', '00:00',
     '23:59:60+15:59', '-infinity', 'infinity', 'infinity', '0', '00000000-0000-0000-0000-000000000000', '"\ud83d\ude00"',
     '""', 'sad', '{}', '{}', '{}', '{}', '(,)', 'empty', '0', '::1', '000', '', 0, '{}', ''),
    (3, NULL, NULL, NULL, 'infinity', '-infinity', 'NaN', 'NaN', '😀', '😀😀😀😀😀', '😀', NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ROW(NULL,NULL), NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL),
    (4, NULL, NULL, NULL, 0.1, 0.1, 12345678901234567890.123456789, 9999999999.99, NULL, NULL, NULL, NULL, NULL,
     '5874897-12-31', NULL, NULL, '1999-12-31 23:59:59.999999', NULL, NULL, '-1 mons +1 day', NULL, 'null', 'null',
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#;

const TABLE: &str = "All \"types\"";
const QUOTED: &str = "\"All \"\"types\"\"\"";

/// What is stored, beyond what is printed: NULL against a composite of NULLs, scales, array bounds.
async fn image(site: &mut Site) -> String {
    site.value(&format!(
        "SELECT md5(string_agg(record_send(whole)::text, ' ' ORDER BY id)) FROM (SELECT {COLUMNS} FROM {QUOTED}) whole"
    ))
    .await
}

/// Without the types whose object identifiers differ between databases.
const COLUMNS: &str = "id, b, i2, i4, f4, f8, n, m, t, v, c, nm, by, d, ti, tz, ts, tt, ts3, iv, u, j, jb, ia, na, vc, r, \
    mo, ip, bi, dc::numeric AS dc, ch, e::text AS e, ea::text AS ea, p::text AS p, p IS NOT DISTINCT FROM NULL AS pn, dm::text AS dm, \
    x::text AS x, doubled";

#[tokio::test]
async fn every_type_arrives_exactly() {
    let Some((mut source, mut target)) = sites(SCHEMA, SCHEMA).await else {
        return;
    };
    source.run(ROWS).await;
    let moved = transfer(&source, &target, TABLE, skip).await.unwrap();
    assert_eq!(moved, counts(4, 0, 0, 0));
    assert_eq!(source.rows(QUOTED).await, target.rows(QUOTED).await);
    assert_eq!(image(&mut source).await, image(&mut target).await);

    let again = transfer(&source, &target, TABLE, overwrite).await.unwrap();
    assert_eq!(again, counts(0, 0, 4, 0));
    let skipped = transfer(&source, &target, TABLE, skip).await.unwrap();
    assert_eq!(skipped, counts(0, 0, 0, 4));
    let (_, sent) = read(&source, TABLE).await;
    let (_, stored) = read(&target, TABLE).await;
    assert_eq!(sent[0].digest(), stored[0].digest());
}

#[tokio::test]
async fn every_type_is_changed_exactly() {
    let Some((mut source, mut target)) = sites(SCHEMA, SCHEMA).await else {
        return;
    };
    source.run(ROWS).await;
    target.run(&format!("INSERT INTO {QUOTED} (id, n, e, x) VALUES (1, 1.5, 'sad', 'x'), (2, 0, NULL, NULL), (3, NULL, NULL, NULL), (9, 9, NULL, NULL)")).await;
    let moved = transfer(&source, &target, TABLE, overwrite).await.unwrap();
    assert_eq!(moved, counts(1, 3, 0, 0));
    target
        .run(&format!("DELETE FROM {QUOTED} WHERE id = 9"))
        .await;
    assert_eq!(image(&mut source).await, image(&mut target).await);
}

#[tokio::test]
async fn numbers_are_read_as_postgresql_prints_them() {
    let Some(source) = Site::new(
        "CREATE TABLE n (id int PRIMARY KEY, v numeric, p text);
         INSERT INTO n SELECT i, v, v::text FROM (
           SELECT i, (CASE WHEN i % 3 = 0 THEN -1 ELSE 1 END * random()::numeric * 10::numeric ^ (i % 60 - 30))
             ::numeric::text::numeric AS v FROM generate_series(1, 500) i) s;
         INSERT INTO n SELECT 1000 + i, v::numeric, v FROM unnest(ARRAY['0', '0.000', '10000', '-0.0001', '1e20',
           '1e-20', 'NaN', 'Infinity', '-Infinity', '9999.9999', '100000000.00000000']) WITH ORDINALITY AS x(v, i);
         UPDATE n SET p = v::text",
    )
    .await
    else {
        return;
    };
    let (_, blocks) = read(&source, "n").await;
    let mut seen = 0;
    for row in blocks.iter().flat_map(RowBlock::rows) {
        let cells: Vec<_> = row.collect();
        assert_eq!(cells[1], cells[2]);
        seen += 1;
    }
    assert_eq!(seen, 511);
}

#[tokio::test]
async fn types_meet_halfway_or_not_at_all() {
    let Some(mut target) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, b boolean, s smallint, f real, g double precision, n numeric(5,2),
         v varchar(3), d date, u uuid, j jsonb, ts timestamp(0), e int[])",
    )
    .await
    else {
        return;
    };
    let any = LogicalType::Any;
    let fits: &[(&str, LogicalType, Cell, &str)] = &[
        ("b", LogicalType::Integer, Cell::Integer(1), "true"),
        ("s", LogicalType::Boolean, Cell::Boolean(true), "1"),
        ("s", any.clone(), Cell::Integer(-7), "-7"),
        ("f", LogicalType::Float, Cell::Real(0.5), "0.5"),
        ("f", LogicalType::Decimal, text("0.25"), "0.25"),
        (
            "g",
            LogicalType::Integer,
            Cell::Integer(1 << 53),
            "9.007199254740992e+15",
        ),
        ("g", LogicalType::Decimal, text("0.1"), "0.1"),
        ("n", LogicalType::Decimal, text("1.50"), "1.50"),
        ("n", LogicalType::Integer, Cell::Integer(7), "7.00"),
        ("n", LogicalType::Float, Cell::Real(0.1), "0.10"),
        ("n", any.clone(), text("2.25"), "2.25"),
        ("v", LogicalType::Text, text("äöü"), "äöü"),
        ("v", LogicalType::Decimal, text("1.5"), "1.5"),
        ("d", LogicalType::Text, text("2024-02-29"), "2024-02-29"),
        (
            "u",
            any,
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("j", LogicalType::Text, text("{\"a\": 1}"), "{\"a\": 1}"),
        (
            "ts",
            LogicalType::Timestamp,
            Cell::Integer(1_000_000),
            "2000-01-01 00:00:01",
        ),
        ("e", LogicalType::Text, text("{1,2}"), "{1,2}"),
    ];
    for (column, logical, cell, stored) in fits {
        let taken = take_one(&target, column, logical, cell).await;
        assert_eq!(taken, Ok(()), "{column} {cell:?}");
        assert_eq!(
            target.value(&format!("SELECT {column} FROM t")).await,
            *stored
        );
        target.run("TRUNCATE t").await;
    }
    let conversions: &[(&str, LogicalType, Cell)] = &[
        ("b", LogicalType::Integer, Cell::Integer(2)),
        ("b", LogicalType::Text, text("true")),
        ("s", LogicalType::Integer, Cell::Integer(40_000)),
        ("s", LogicalType::Float, Cell::Real(1.0)),
        ("f", LogicalType::Float, Cell::Real(0.1)),
        ("f", LogicalType::Decimal, text("0.1")),
        ("g", LogicalType::Integer, Cell::Integer((1 << 53) + 1)),
        ("g", LogicalType::Decimal, text("0.12345678901234567890")),
        ("n", LogicalType::Decimal, text("1.555")),
        ("n", LogicalType::Decimal, text("1234.5")),
        ("n", LogicalType::Text, text("01.50")),
        ("v", LogicalType::Text, text("abcd")),
        ("v", LogicalType::Text, text("a\0")),
        ("v", LogicalType::Integer, Cell::Integer(1)),
        ("d", LogicalType::Text, text("29.2.2024")),
        ("d", LogicalType::Date, Cell::Integer(3_000_000_000)),
        ("d", LogicalType::Timestamp, Cell::Integer(0)),
        (
            "u",
            LogicalType::Text,
            text("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        ),
        ("u", LogicalType::Uuid, Cell::Bytes(vec![1])),
        ("j", LogicalType::Text, text("{'a': 1}")),
        ("ts", LogicalType::Timestamp, Cell::Integer(1_500_000)),
        ("b", LogicalType::Boolean, text("true")),
    ];
    for (column, logical, cell) in conversions {
        let refused = take_one(&target, column, logical, cell).await;
        assert!(
            refused
                .as_ref()
                .is_err_and(|error| error.starts_with(&format!("column \"{column}\""))),
            "{column} {cell:?}: {refused:?}"
        );
        assert_eq!(target.value("SELECT count(*) FROM t").await, "0");
    }
}

/// One good row without a value, then the row in question.
async fn take_one(
    site: &Site,
    column: &str,
    logical: &LogicalType,
    cell: &Cell,
) -> Result<(), String> {
    let schema = announced(
        "t",
        &[("id", LogicalType::Integer), (column, logical.clone())],
        &["id"],
    );
    let good = block(&[vec![Cell::Integer(1), Cell::Null]]);
    let asked = block(&[vec![Cell::Integer(2), cell.clone()]]);
    let taken = take(site, &schema, &[good, asked], skip(&schema)).await;
    let mut admin = PgConnection::connect(&site.server.url(&site.name))
        .await
        .unwrap();
    sqlx::raw_sql("DELETE FROM t WHERE id = 1")
        .execute(&mut admin)
        .await
        .unwrap();
    match taken {
        Ok(counted) if counted.failed == 1 => {
            let sql = "DELETE FROM tombolo.rejects RETURNING reason";
            let reason: String = sqlx::query_scalar(sql).fetch_one(&mut admin).await.unwrap();
            Err(reason)
        }
        Ok(counted) => {
            assert_eq!(counted, counts(2, 0, 0, 0));
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn casts_that_would_round_or_cut_are_unrepresentable() {
    let Some(mut target) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, n numeric(5,2)[], v varchar(2)[], i interval(0), z timetz(0),
         m money, c \"char\", a name[], f float4[])",
    )
    .await
    else {
        return;
    };
    for (column, value) in [
        ("n", "{1.555}"),
        ("v", "{abc}"),
        ("i", "00:00:01.5"),
        ("z", "10:00:00.5+00"),
        ("m", "12.345"),
        ("c", "xy"),
        (
            "a",
            "{aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg}",
        ),
        ("f", "{0.123456789}"),
    ] {
        let refused = take_one(&target, column, &LogicalType::Text, &text(value)).await;
        assert!(
            refused
                .as_ref()
                .is_err_and(|error| error.contains("would not hold the text exactly")
                    && !error.contains(value)),
            "{refused:?}"
        );
    }
    assert_eq!(target.value("SELECT count(*) FROM t").await, "0");
    for (column, value) in [
        ("n", "{1.50,NULL}"),
        ("v", "{ab}"),
        ("i", "1 day"),
        ("z", "10:00:00+00"),
        ("m", "$12.34"),
        ("c", "x"),
        ("a", "{name}"),
        ("f", "{0.1}"),
    ] {
        assert_eq!(
            take_one(&target, column, &LogicalType::Text, &text(value)).await,
            Ok(())
        );
        target.run("TRUNCATE t").await;
    }
}
