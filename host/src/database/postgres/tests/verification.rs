//! Tests the checks of written rows.

use super::*;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, name text, n int);
    INSERT INTO t VALUES (1, 'old', 1), (2, 'old', 2);";

/// A trigger that changes a name to upper case.
const SHOUT: &str = "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
    CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout();";

/// The same after the row is written.
const SHOUT_AFTER: &str = "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN UPDATE t SET name = upper(NEW.name) WHERE id = NEW.id; RETURN NULL; END';
    CREATE TRIGGER shout AFTER INSERT OR UPDATE ON t FOR EACH ROW WHEN (NEW.name <> upper(NEW.name))
      EXECUTE FUNCTION shout();";

fn schema() -> TableSchema {
    announced(
        "t",
        &[
            ("id", LogicalType::Integer),
            ("name", LogicalType::Text),
            ("n", LogicalType::Integer),
        ],
        &["id"],
    )
}

fn rows(ids: &[i64]) -> RowBlock {
    let rows: Vec<_> = ids
        .iter()
        .map(|id| vec![Cell::Integer(*id), text("new"), Cell::Integer(7)])
        .collect();
    block(&rows)
}

type Plan = fn(&TableSchema) -> SetPlan;

#[tokio::test]
async fn every_plan_checks_what_it_wrote() {
    let plans: [(Plan, &[i64], ChunkCounts); 8] = [
        (overwrite, &[1, 2], counts(0, 2, 0, 0)),
        (overwrite, &[3, 4], counts(2, 0, 0, 0)),
        (overwrite, &[1, 3], counts(1, 1, 0, 0)),
        (skip, &[1, 3], counts(1, 0, 0, 1)),
        (skip, &[3, 4], counts(2, 0, 0, 0)),
        (merge, &[1, 3], counts(1, 1, 0, 0)),
        (merge, &[1, 2], counts(0, 2, 0, 0)),
        (keyless, &[3, 4], counts(2, 0, 0, 0)),
    ];
    for (plan, ids, expected) in plans {
        let name = format!("{expected:?}");
        let Some(site) = Site::new(TABLE).await else {
            return;
        };
        let write = table_write(&schema(), plan(&schema()));
        let (moved, outcome) = chunks(&site, write.clone(), &[rows(ids)]).await.unwrap();
        assert_eq!(moved, expected);
        assert_eq!(outcome.stored, Stored::Verified, "{name}");

        for trigger in [SHOUT, SHOUT_AFTER] {
            let Some(site) = Site::new(&format!("{TABLE} {trigger}")).await else {
                return;
            };
            let (moved, outcome) = chunks(&site, write.clone(), &[rows(ids)]).await.unwrap();
            assert_eq!(moved, expected);
            let blind = !write.plan.is_merge() && trigger == SHOUT_AFTER;
            match blind {
                true => assert!(matches!(outcome.stored, Stored::Unverified(_))),
                false => {
                    let shouting = Stored::ChangedBy(vec!["shout".to_owned()]);
                    assert_eq!(outcome.stored, shouting, "{name} {trigger}");
                }
            }
        }
    }
}

fn keyless(_: &TableSchema) -> SetPlan {
    SetPlan {
        key: Vec::new(),
        regenerate_key: false,
        update: None,
    }
}

#[tokio::test]
async fn a_trigger_that_changes_nothing_leaves_rows_verified() {
    let quiet =
        "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER quiet BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION quiet();";
    let Some(site) = Site::new(&format!("{TABLE} {quiet}")).await else {
        return;
    };
    let write = table_write(&schema(), overwrite(&schema()));
    let (moved, outcome) = chunks(&site, write, &[rows(&[1, 3])]).await.unwrap();
    assert_eq!(moved, counts(1, 1, 0, 0));
    assert_eq!(outcome.stored, Stored::Verified);
}

#[tokio::test]
async fn a_difference_without_a_cause_is_rolled_back() {
    let plans: [(Plan, &[i64]); 4] = [
        (overwrite, &[1, 2]),
        (overwrite, &[1, 3]),
        (skip, &[3]),
        (keyless, &[3]),
    ];
    for (plan, ids) in plans {
        let Some(mut site) = Site::new(TABLE).await else {
            return;
        };
        let mut target = site.target().await;
        let write = table_write(&schema(), plan(&schema()));
        let mut writer = target.begin_table(write).await.unwrap();
        // The trigger comes after the table was begun.
        site.run(SHOUT).await;
        writer.stage(&rows(ids)).await.done();
        let refused = writer.commit().await.unwrap_err();
        assert!(
            matches!(refused, DatabaseError::NotStored { .. }),
            "{refused}"
        );
        writer.rollback().await.unwrap();
        assert_eq!(site.rows("t").await, "(1,old,1)\n(2,old,2)");
        assert_eq!(site.value("SELECT next_seq FROM tombolo.ledger").await, "0");
    }
}

#[tokio::test]
async fn findings_last_over_chunks_and_attempts() {
    let Some(mut site) = Site::new(&format!("{TABLE} {SHOUT}")).await else {
        return;
    };
    let write = table_write(&schema(), overwrite(&schema()));
    let mut target = site.target().await;
    let mut writer = target.begin_table(write.clone()).await.unwrap();
    writer.stage(&rows(&[1])).await.done();
    writer.commit().await.done();
    drop(writer);
    drop(target);
    site.run("ALTER TABLE t DISABLE TRIGGER shout").await;
    let (_, outcome) = chunks(&site, write, &[rows(&[2])]).await.unwrap();
    assert!(
        matches!(outcome.stored, Stored::ChangedBy(_)),
        "{:?}",
        outcome.stored
    );
}

#[tokio::test]
async fn what_triggers_do_to_other_tables_is_told_in_postgres() {
    let count = "CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);
        CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN UPDATE counter SET n = n + 1 WHERE NEW.n > 0; RETURN NULL; END';
        CREATE TRIGGER count_it AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_it();";
    for (more, touched) in [
        ("", vec!["counter"]),
        ("UPDATE counter SET n = 5; DELETE FROM counter", vec![]),
    ] {
        let Some(site) = Site::new(&format!("{TABLE} {count} {more}")).await else {
            return;
        };
        let write = table_write(&schema(), overwrite(&schema()));
        let (_, outcome) = chunks(&site, write, &[rows(&[1, 3])]).await.unwrap();
        assert_eq!(outcome.touched, touched);
    }
}
