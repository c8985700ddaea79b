//! Files that somebody made to harm who opens them.

use super::*;

#[tokio::test]
async fn impossible_numbers_in_the_ledger_are_refused() {
    for numbers in [
        "created = 9223372036854775807",
        "created = 4611686018427387904, same = 4611686018427387904",
        "next_seq = -1",
        "next_seq = 9223372036854775807",
    ] {
        let folder = Folder::new();
        let database = folder.database("t.db", "CREATE TABLE t (id)").await;
        let mut target = database.target().await.unwrap();
        target.prepare().await.unwrap();
        let sql = format!(
            "INSERT INTO tombolo_ledger (run, table_name, digest, made, description, updated_at)
             VALUES ('r', 't', x'00', 0, '', ''); UPDATE tombolo_ledger SET {numbers}"
        );
        write(&folder.file("t.db"), &sql).await;
        let entry = target.ledger_entry("r", "t").await;
        assert!(
            matches!(entry, Err(DatabaseError::NotAsMade { .. })),
            "{numbers}: {entry:?}"
        );
    }
}

#[tokio::test]
async fn own_tables_are_used_as_they_were_made_before() {
    let folder = Folder::new();
    let database = folder.database("t.db", "CREATE TABLE t (id)").await;
    for _ in 0..2 {
        let mut target = database.target().await.unwrap();
        target.prepare().await.unwrap();
    }
    // SQLite keeps the text of the statements; `VACUUM` does not change it.
    write(&folder.file("t.db"), "VACUUM").await;
    let mut target = database.target().await.unwrap();
    target.prepare().await.unwrap();
    assert_eq!(database.clean().await.unwrap().len(), 3);
}
