//! The books, chunk by chunk.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bindings::types::{Cell, TableSchema};
use crate::database::CheckedPlan;

fn write(reject_limit: u64, retry: bool) -> TableWrite {
    TableWrite {
        run: "run".to_owned(),
        incoming: TableSchema {
            table: "t".to_owned(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            enums: Vec::new(),
        },
        plan: CheckedPlan::insert(),
        create: None,
        mode: LoadMode::Direct,
        row_by_row: false,
        reject_limit,
        retry_context: "context".to_owned(),
        conversions: Vec::new(),
        retry,
        rejected_parents: crate::database::RejectedParents::default(),
    }
}

fn new_row() -> LedgerRow {
    LedgerRow {
        next_seq: 0,
        counts: ChunkCounts::default(),
        last_key: None,
        facts: RowFacts {
            digest: Some(0),
            direct: true,
            verification: Verification::default(),
            changed: Changed::new(),
        },
        snapshot: None,
        snapshots: 0,
        made: true,
        done: false,
        retry_context: "context".to_owned(),
    }
}

fn books(reject_limit: u64) -> Bookkeeping {
    Bookkeeping::open(&write(reject_limit, false), "t", new_row())
}

fn block(numbers: &[i64]) -> RowBlock {
    let rows: Vec<u8> = numbers
        .iter()
        .flat_map(|number| RowBlock::encode_row(&[Cell::Integer(*number)]))
        .collect();
    let count = u32::try_from(numbers.len()).unwrap();
    RowBlock::parse(rows.into(), count, 1).unwrap()
}

fn key(number: i64) -> Option<Vec<u8>> {
    Some(RowBlock::encode_row(&[Cell::Integer(number)]))
}

fn created(created: u64) -> ChunkCounts {
    ChunkCounts {
        created,
        ..ChunkCounts::default()
    }
}

fn commit(books: &mut Bookkeeping, counts: ChunkCounts, last_key: Option<Vec<u8>>) {
    let row = books.advance(counts, last_key);
    books.committed(row);
}

#[test]
fn chunks_add_up() {
    let mut books = books(0);
    books.read_from("one");
    books.arrived(&block(&[1, 2]));
    commit(&mut books, created(2), key(2));
    books.arrived(&block(&[3]));
    books.read_from("one");
    commit(&mut books, created(1), None);
    books.read_from("two");
    books.arrived(&block(&[4]));
    commit(&mut books, created(1), key(4));
    let row = books.row().clone();
    assert_eq!((row.next_seq, row.counts), (3, created(4)));
    assert_eq!(row.facts.digest, Some(block(&[1, 2, 3, 4]).digest()));
    let entry = LedgerEntry::from(row);
    assert_eq!(entry.last_key, Some(vec![Cell::Integer(4)]));
    assert_eq!(
        (entry.snapshot.as_deref(), entry.snapshots),
        (Some("two"), 2)
    );
}

#[test]
fn a_chunk_that_is_rolled_back_leaves_nothing() {
    let mut books = books(1);
    books.read_from("one");
    books.arrived(&block(&[1]));
    commit(&mut books, created(1), key(1));
    let before = books.row().clone();
    books.arrived(&block(&[2, 3]));
    books.reject(block(&[3]).digest(), "why").unwrap();
    books.inexact();
    books.verified(Verification {
        unread: true,
        altered: true,
    });
    books.changed(&Changed::from([("c".to_owned(), 1)]));
    books.rolled_back();
    assert_eq!(books.row(), &before);
    assert_eq!((books.rejected(), books.rejects_left()), (0, 1));
    // The rows come again, from the snapshot that was named.
    books.arrived(&block(&[2]));
    commit(&mut books, created(1), key(2));
    let digest = Some(block(&[1, 2]).digest());
    assert_eq!(
        books.row().facts,
        RowFacts {
            digest,
            ..before.facts
        }
    );
    assert_eq!(books.row().snapshots, 1);
}

#[test]
fn rejected_rows_are_counted_up_to_the_limit() {
    let mut books = books(2);
    books.arrived(&block(&[1, 2, 3]));
    books.reject(block(&[2]).digest(), "first").unwrap();
    commit(&mut books, created(2), key(3));
    assert_eq!(books.row().facts.digest, Some(block(&[1, 3]).digest()));
    assert_eq!(books.row().counts.failed, 1);
    books.reject(block(&[4]).digest(), "second").unwrap();
    assert_eq!(books.rejects_left(), 0);
    let refused = books.reject(block(&[5]).digest(), "third").unwrap_err();
    assert!(
        matches!(&refused, DatabaseError::TooManyRejects { table, limit: 2, reason } if table == "t" && reason == "third"),
        "{refused}"
    );
    assert_eq!(books.rejected(), 1);
}

#[test]
fn a_savepoint_brings_the_chunk_back() {
    let mut books = books(5);
    books.arrived(&block(&[1, 2]));
    books.reject(block(&[1]).digest(), "why").unwrap();
    let savepoint = books.savepoint();
    books.reject(block(&[2]).digest(), "why").unwrap();
    books.verified(Verification {
        altered: true,
        unread: false,
    });
    books.back_to(&savepoint);
    commit(&mut books, created(1), key(2));
    assert_eq!(books.row().counts.failed, 1);
    assert_eq!(books.row().facts.digest, Some(block(&[2]).digest()));
    assert_eq!(books.row().facts.verification, Verification::default());
}

#[test]
fn retried_rows_are_no_rejects_any_more() {
    let mut row = new_row();
    row.counts = ChunkCounts {
        created: 7,
        failed: 3,
        ..ChunkCounts::default()
    };
    row.last_key = key(10);
    row.facts.changed = Changed::from([("c".to_owned(), 2), ("d".to_owned(), 1)]);
    let mut books = Bookkeeping::open(&write(3, true), "t", row);
    assert_eq!((books.is_retry(), books.rejects_left()), (true, 0));
    books.retried(3);
    assert_eq!(books.rejects_left(), 3);
    books.arrived(&block(&[1, 2, 3]));
    books.reject(block(&[3]).digest(), "still").unwrap();
    books.changed(&Changed::from([("c".to_owned(), 4)]));
    commit(&mut books, created(2), key(3));
    let counts = ChunkCounts {
        created: 9,
        failed: 1,
        ..ChunkCounts::default()
    };
    assert_eq!(books.row().counts, counts);
    assert_eq!(books.row().last_key, key(10), "the run is as far as it was");
    assert_eq!((books.is_retry(), books.rejects_left()), (false, 2));
    let outcome = books.outcome(Evidence::Known(Stored::Verified));
    let changed = [("c", 4)].map(|(column, values)| ColumnChanges {
        column: column.to_owned(),
        values,
    });
    assert_eq!(
        outcome.changed, changed,
        "only rows of the retry are reported"
    );
}

#[test]
fn more_rows_cannot_be_retried_than_were_rejected() {
    let mut books = Bookkeeping::open(&write(3, true), "t", new_row());
    books.retried(2);
    assert_eq!(books.rejects_left(), 3);
}

#[test]
fn rows_behind_direct_ones_are_not_theirs_alone() {
    let direct = Evidence::Direct {
        digest: Some(block(&[1]).digest()),
        readback: None,
    };
    let mut books = books(0);
    books.arrived(&block(&[1]));
    commit(&mut books, created(1), key(1));
    assert!(books.is_direct() && books.is_filling());
    assert_eq!(books.evidence(books.is_direct(), Vec::new(), ""), direct);
    books.end_direct();
    books.rolled_back();
    assert!(!books.is_direct());
    let unread = Evidence::Known(Stored::Unverified("nobody looked".to_owned()));
    assert_eq!(books.evidence(false, Vec::new(), "nobody looked"), unread);
}

#[test]
fn a_staging_from_the_first_row_on_leaves_nothing_unread() {
    let mut books = books(0);
    books.end_direct();
    books.arrived(&block(&[1]));
    commit(&mut books, created(1), key(1));
    let triggers = vec!["tr".to_owned()];
    let known = |books: &Bookkeeping| books.evidence(false, triggers.clone(), "unread");
    assert_eq!(known(&books), Evidence::Known(Stored::Verified));
    books.verified(Verification {
        unread: true,
        altered: true,
    });
    commit(&mut books, created(1), key(2));
    let changed = Stored::ChangedBy(triggers.clone());
    assert_eq!(known(&books), Evidence::Known(changed));
}

#[test]
fn only_one_process_advances_a_ledger() {
    let books = books(0);
    assert!(books.check_advanced(1).is_ok());
    let taken = books.check_advanced(0);
    assert!(matches!(taken, Err(DatabaseError::LedgerTaken { table }) if table == "t"));
}

#[test]
fn rows_go_directly_only_where_nothing_speaks_against_it() {
    let facts = DirectFacts {
        mode: LoadMode::Direct,
        retry: false,
        is_only_writer: true,
        has_triggers: false,
        regenerates_key: false,
        takes_cells: true,
    };
    assert!(is_direct(&facts));
    for other in [
        DirectFacts {
            mode: LoadMode::Staged,
            ..facts
        },
        DirectFacts {
            retry: true,
            ..facts
        },
        DirectFacts {
            is_only_writer: false,
            ..facts
        },
        DirectFacts {
            has_triggers: true,
            ..facts
        },
        DirectFacts {
            regenerates_key: true,
            ..facts
        },
        DirectFacts {
            takes_cells: false,
            ..facts
        },
    ] {
        assert!(!is_direct(&other), "{other:?}");
    }
}
