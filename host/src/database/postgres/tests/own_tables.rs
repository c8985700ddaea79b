//! Tests that Tombolo's own tables are checked again in each transaction that uses them.

use super::*;

#[tokio::test]
async fn tables_that_change_hands_in_the_middle_of_a_run_are_not_used() {
    let Some(mut site) = Site::new("CREATE TABLE t (id int PRIMARY KEY)").await else {
        return;
    };
    let schema = announced("t", &[("id", LogicalType::Integer)], &["id"]);
    let other = site.server.unique_name("other");
    site.run(&format!("CREATE ROLE {other}")).await;
    for row_by_row in [false, true] {
        let mut target = site.target().await;
        let write = TableWrite {
            run: format!("run-{row_by_row}"),
            row_by_row,
            ..table_write(&schema, skip(&schema))
        };
        let mut writer = target.begin_table(write).await.unwrap();
        let rows = |id| block(&[vec![Cell::Integer(id)]]);
        writer.stage(&rows(1)).await.done();
        writer.commit().await.done();
        site.run(&format!("ALTER TABLE tombolo.ledger OWNER TO {other}"))
            .await;
        let refused = writer.stage(&rows(2)).await.err().unwrap();
        let text = refused.to_string();
        assert!(matches!(refused, DatabaseError::NotAsMade { .. }), "{text}");
        assert!(
            text.contains("tombolo.ledger") && text.contains(&other),
            "{text}"
        );
        writer.rollback().await.unwrap();
        let refused = writer.ledger_entry().await.err().unwrap();
        assert!(
            matches!(refused, DatabaseError::NotAsMade { .. }),
            "{refused}"
        );
        drop(writer);
        let refused = target.prepare().await.unwrap_err();
        assert!(
            matches!(refused, DatabaseError::NotAsMade { .. }),
            "{refused}"
        );
        site.run("ALTER TABLE tombolo.ledger OWNER TO CURRENT_USER")
            .await;
    }
    assert_eq!(site.value("SELECT count(*) FROM t").await, "1");
    site.run(&format!("DROP OWNED BY {other}; DROP ROLE {other}"))
        .await;
}
