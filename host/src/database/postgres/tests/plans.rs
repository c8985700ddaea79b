//! Tests what each strategy's plan does to a table.

use super::*;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, name text, n numeric, at timestamp);";

async fn halves() -> Option<(Site, Site)> {
    sites(
        &format!(
            "{TABLE} INSERT INTO t VALUES (1, 'one', 1.0, '2024-01-01'), (2, NULL, 5, '2024-01-02'),
             (3, 'three', 3, '2024-01-03'), (4, 'four', 4, NULL)"
        ),
        &format!(
            "{TABLE} INSERT INTO t VALUES (1, 'one', 1.00, '2024-01-01'), (2, 'zwei', 2, '2024-01-01'),
             (3, 'three', 3, '2024-01-03'), (9, 'nine', 9, NULL)"
        ),
    )
    .await
}

#[tokio::test]
async fn skip_leaves_what_exists() {
    let Some((source, mut target)) = halves().await else {
        return;
    };
    let moved = transfer(&source, &target, "t", skip).await.unwrap();
    assert_eq!(moved, counts(1, 0, 0, 3));
    assert_eq!(
        target.value("SELECT name FROM t WHERE id = 2").await,
        "zwei"
    );
    assert_eq!(target.value("SELECT count(*) FROM t").await, "5");
}

#[tokio::test]
async fn overwrite_changes_what_has_another_image() {
    let Some((source, mut target)) = halves().await else {
        return;
    };
    let moved = transfer(&source, &target, "t", overwrite).await.unwrap();
    assert_eq!(
        moved,
        counts(1, 2, 1, 0),
        "1.0 and 1.00 are different images"
    );
    assert_eq!(target.value("SELECT n FROM t WHERE id = 1").await, "1.0");
    assert_eq!(
        target.value("SELECT name FROM t WHERE id = 2").await,
        "NULL"
    );
    assert_eq!(
        target.value("SELECT name FROM t WHERE id = 9").await,
        "nine"
    );
}

#[tokio::test]
async fn merge_keeps_what_does_not_arrive() {
    let Some((source, mut target)) = halves().await else {
        return;
    };
    let moved = transfer(&source, &target, "t", merge).await.unwrap();
    assert_eq!(moved, counts(1, 2, 1, 0));
    assert_eq!(
        target.value("SELECT t FROM t WHERE id = 2").await,
        "(2,zwei,5,\"2024-01-02 00:00:00\")"
    );
}

#[tokio::test]
async fn extremes_and_guards_follow_the_database() {
    let Some((source, mut target)) = halves().await else {
        return;
    };
    let rules = |source| {
        move |schema: &TableSchema| {
            let mut plan = update(schema, source);
            plan.update.as_mut().unwrap().only_if_newer = Some("at".to_owned());
            plan
        }
    };
    let moved = transfer(&source, &target, "t", rules(ValueSource::TakeIncoming))
        .await
        .unwrap();
    assert_eq!(moved, counts(1, 1, 0, 2), "rows 1 and 3 are not newer");
    assert_eq!(target.value("SELECT n FROM t WHERE id = 1").await, "1.00");
    let again = transfer(&source, &target, "t", rules(ValueSource::TakeIncoming))
        .await
        .unwrap();
    assert_eq!(again, counts(0, 0, 0, 4), "NULL is never newer");

    target
        .run(
            "UPDATE t SET n = 100, name = 'a' WHERE id <> 2; UPDATE t SET name = NULL WHERE id = 1",
        )
        .await;
    let moved = transfer(&source, &target, "t", |schema| {
        update(schema, ValueSource::Greatest)
    })
    .await
    .unwrap();
    assert_eq!(moved, counts(0, 3, 1, 0));
    assert_eq!(
        target.rows("(SELECT id, name, n FROM t)").await,
        "(1,one,100)\n(2,,5)\n(3,three,100)\n(4,four,100)\n(9,a,100)"
    );
    let moved = transfer(&source, &target, "t", |schema| {
        update(schema, ValueSource::Least)
    })
    .await
    .unwrap();
    assert_eq!(moved, counts(0, 3, 1, 0));
    assert_eq!(target.value("SELECT n FROM t WHERE id = 1").await, "1.0");
    let moved = transfer(&source, &target, "t", |schema| {
        update(schema, ValueSource::KeepLocal)
    })
    .await
    .unwrap();
    assert_eq!(moved, counts(0, 0, 4, 0));
}

#[tokio::test]
async fn append_gives_rows_new_numbers() {
    let schema = "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);";
    let Some((source, mut target)) = sites(
        &format!("{schema} INSERT INTO t (name) VALUES ('a'), ('b')"),
        &format!("{schema} INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, 'x'), (7, 'y')"),
    )
    .await
    else {
        return;
    };
    let moved = transfer(&source, &target, "t", append).await.unwrap();
    assert_eq!(moved, counts(2, 0, 0, 0));
    assert_eq!(target.rows("t").await, "(1,x)\n(7,y)\n(8,a)\n(9,b)");
    let only_key = "CREATE TABLE k (id serial PRIMARY KEY);";
    let Some((source, mut target)) =
        sites(&format!("{only_key} INSERT INTO k VALUES (5)"), only_key).await
    else {
        return;
    };
    transfer(&source, &target, "k", append).await.unwrap();
    assert_eq!(target.rows("k").await, "(1)");
    target.run("ALTER TABLE k ALTER id DROP DEFAULT").await;
    let refused = transfer(&source, &target, "k", append).await.unwrap_err();
    assert!(refused.to_string().contains("not numbered"), "{refused}");
}

#[tokio::test]
async fn numbering_is_behind_the_greatest_key_afterwards() {
    let schema = "CREATE SEQUENCE own; CREATE TABLE t (id serial PRIMARY KEY, other bigint GENERATED BY DEFAULT AS IDENTITY,
        third int DEFAULT nextval('own'), name text);";
    let Some((source, mut target)) = sites(
        &format!("{schema} INSERT INTO t VALUES (10, 20, 30, 'a')"),
        &format!("{schema} SELECT setval('t_id_seq', 50)"),
    )
    .await
    else {
        return;
    };
    transfer(&source, &target, "t", skip).await.unwrap();
    target.run("INSERT INTO t (name) VALUES ('new')").await;
    assert_eq!(
        target.value("SELECT t FROM t WHERE name = 'new'").await,
        "(51,21,31,new)"
    );
}

#[tokio::test]
async fn a_table_that_refers_to_itself_arrives_in_one_chunk() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t, name text);";
    let Some((source, mut target)) = sites(
        &format!("{schema} INSERT INTO t VALUES (1, 3, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, 5, 'd'), (5, NULL, 'e')"),
        &format!("{schema} INSERT INTO t VALUES (2, NULL, 'x')"),
    )
    .await
    else {
        return;
    };
    let moved = transfer(&source, &target, "t", overwrite).await.unwrap();
    assert_eq!(moved, counts(4, 1, 0, 0));
    assert_eq!(source.database.count("t").await.unwrap().rows, 5);
    assert_eq!(
        target.rows("t").await,
        "(1,3,a)\n(2,1,b)\n(3,2,c)\n(4,5,d)\n(5,,e)"
    );
}

#[tokio::test]
async fn a_key_that_arrives_twice_is_rejected_the_second_time() {
    let Some(mut site) = Site::new(
        "CREATE TABLE t (id numeric PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'x')",
    )
    .await
    else {
        return;
    };
    let schema = announced(
        "t",
        &[("id", LogicalType::Decimal), ("name", LogicalType::Text)],
        &["id"],
    );
    let rows = block(&[
        vec![text("7"), text("good")],
        vec![text("1"), text("a")],
        vec![text("1.0"), text("b")],
    ]);
    let taken = take(&site, &schema, &[rows], overwrite(&schema)).await;
    let expected = ChunkCounts {
        failed: 1,
        ..counts(1, 1, 0, 0)
    };
    assert_eq!(taken.unwrap(), expected);
    assert_eq!(site.rows("t").await, "(1,a)\n(7,good)");
    let rejected = "SELECT (\"row\", key, reason) FROM tombolo.rejects";
    assert_eq!(
        site.value(rejected).await,
        "(3,1.0,\"a key that is equal to its own arrived before in this run\")"
    );
}

#[tokio::test]
async fn unsuitable_tables_are_refused_with_the_reason() {
    let Some(mut site) = Site::new(
        "CREATE TABLE t (id int PRIMARY KEY, name text, twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE TABLE ruled (id int PRIMARY KEY, name text); CREATE RULE elsewhere AS ON INSERT TO ruled DO ALSO NOTHING;
         CREATE TABLE keyless (id int, name text);
         CREATE TABLE silent (id int PRIMARY KEY, name text);
         CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER silent BEFORE INSERT ON silent FOR EACH ROW EXECUTE FUNCTION leave_out();
         CREATE TABLE loud (id int PRIMARY KEY, name text);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''% is bad'', NEW.name; END';
         CREATE TRIGGER loud BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION refuse();
         CREATE TABLE strict (id int PRIMARY KEY, name text CHECK (name <> 'hush-hush'));",
    )
    .await
    else {
        return;
    };
    for (table, column, reason) in [
        ("t", "twice", "computed by the database"),
        ("t", "nope", "has no column \"nope\""),
        ("ruled", "name", "\"elsewhere\""),
        ("keyless", "name", "no primary key or unique constraint"),
        ("silent", "name", "trigger \"silent\" left it out"),
        ("loud", "name", "trigger or function"),
        ("strict", "name", "strict_name_check"),
    ] {
        let schema = announced(
            table,
            &[("id", LogicalType::Integer), (column, LogicalType::Text)],
            &["id"],
        );
        let rows = block(&[vec![Cell::Integer(1), text("hush-hush")]]);
        let error = match take(&site, &schema, &[rows], skip(&schema)).await {
            Err(error) => error.to_string(),
            // A row that the table does not take is rejected.
            Ok(taken) => {
                assert_eq!(taken.failed, 1, "{table}");
                let sql =
                    format!("SELECT reason FROM tombolo.rejects WHERE table_name = '{table}'");
                site.value(&sql).await
            }
        };
        assert!(
            error.contains(reason) && !error.contains("hush-hush"),
            "{table}: {error}"
        );
        assert_eq!(
            site.value(&format!("SELECT count(*) FROM {table}")).await,
            "0"
        );
    }
}

#[tokio::test]
async fn a_chunk_is_matched_by_the_index_and_never_scans_the_target() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, name text);";
    let Some((source, mut target)) = sites(
        &format!("{schema} INSERT INTO t SELECT i, 'new' FROM generate_series(1, 30000) i"),
        &format!("{schema} INSERT INTO t SELECT i, 'old' FROM generate_series(1, 200000) i"),
    )
    .await
    else {
        return;
    };
    target.run("VACUUM ANALYZE t").await;
    target.run("SELECT pg_stat_reset()").await;
    let moved = transfer(&source, &target, "t", overwrite).await.unwrap();
    assert_eq!(moved, counts(0, 30_000, 0, 0));
    // The statistics come with a delay; building the index of the empty table was a scan, of no rows.
    let mut reads = String::new();
    for _ in 0..50 {
        reads = target
            .value("SELECT seq_tup_read || '/' || idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 't'")
            .await;
        if !reads.ends_with("/0") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        reads.starts_with("0/"),
        "rows read by sequential/index scans: {reads}"
    );
}
