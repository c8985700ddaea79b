//! Plans and decisions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::bindings::tombolo::sync::types::{Cell, Column, Generation, LogicalType};
use super::*;

fn table(columns: &[(&str, LogicalType, Generation)]) -> TableSchema {
    let columns = columns.iter().map(|(name, logical, generation)| Column {
        name: (*name).to_owned(),
        logical: logical.clone(),
        origin: "sqlite:".to_owned(),
        nullable: true,
        default: None,
        generation: generation.clone(),
    });
    TableSchema {
        table: "goods".to_owned(),
        columns: columns.collect(),
        primary_key: vec!["id".to_owned()],
        unique_keys: vec![],
        foreign_keys: vec![],
        enums: Vec::new(),
    }
}

fn goods() -> TableSchema {
    table(&[
        ("id", LogicalType::Integer, Generation::None),
        ("total", LogicalType::Integer, Generation::Computed),
        ("price", LogicalType::Decimal, Generation::None),
        ("last_update", LogicalType::Timestamp, Generation::None),
    ])
}

fn decide(incoming: Cell, local: Cell) -> Result<bool, Error> {
    let row = |age| vec![Cell::Integer(1), Cell::Text("9.50".to_owned()), age];
    let conflict = Conflict {
        incoming: row(incoming),
        local: row(local),
    };
    let decisions = NewestWins::decide(NAME.to_owned(), vec![], goods(), vec![conflict])?;
    match decisions.as_slice() {
        [Decision::TakeIncoming] => Ok(true),
        [Decision::KeepLocal] => Ok(false),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_newer_row_is_kept_and_a_tie_keeps_the_local_one() {
    let text = |text: &str| Cell::Text(text.to_owned());
    for (newer, older) in [
        (Cell::Integer(i64::MAX), Cell::Integer(-1)),
        (Cell::Real(0.5), Cell::Real(-2.0)),
        (text("2024-05-01 10:00"), text("2024-05-01 09:59")),
        (Cell::Integer(0), Cell::Null),
    ] {
        assert!(
            decide(newer.clone(), older.clone()).unwrap(),
            "{newer:?} arrives"
        );
        assert!(
            !decide(older.clone(), newer.clone()).unwrap(),
            "{older:?} arrives"
        );
        assert!(!decide(newer.clone(), newer).unwrap());
    }
    assert!(!decide(Cell::Null, Cell::Null).unwrap());
    assert!(!decide(Cell::Real(f64::NAN), Cell::Real(1.0)).unwrap());
}

#[test]
fn values_that_cannot_be_compared_are_an_error() {
    assert!(matches!(
        decide(Cell::Integer(1), Cell::Text("1".to_owned())),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        decide(Cell::Bytes(vec![1]), Cell::Bytes(vec![0])),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn the_plan_has_the_local_key_or_an_error() {
    let plan = |params: &[(&str, &str)], incoming: TableSchema, local: TableSchema| {
        let params = params
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        NewestWins::plan(NAME.to_owned(), params, incoming, local)
    };
    assert!(
        matches!(plan(&[], goods(), goods()), Ok(StrategyPlan::RowByRow(key)) if key == ["id"])
    );
    assert!(plan(&[("column", "id")], goods(), goods()).is_ok());

    let keyless = TableSchema {
        primary_key: vec![],
        ..goods()
    };
    let ageless = table(&[("id", LogicalType::Integer, Generation::None)]);
    for (params, incoming, local) in [
        (&[][..], ageless, goods()),
        (&[], goods(), keyless),
        (&[("column", "price")], goods(), goods()),
        (&[("column", "total")], goods(), goods()),
        (&[("column", "none")], goods(), goods()),
        (&[("colour", "id")], goods(), goods()),
    ] {
        let planned = plan(params, incoming, local);
        assert!(
            matches!(planned, Err(Error::Invalid(_))),
            "{params:?}: {planned:?}"
        );
    }
}

#[test]
fn other_strategies_are_not_found() {
    let planned = NewestWins::plan("skip".to_owned(), vec![], goods(), goods());
    assert!(matches!(planned, Err(Error::NotFound(_))));
}
