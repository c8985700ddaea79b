//! Compares `docs/conversions.md` with the code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use bytes::BytesMut;

use super::decode;
use super::fitting::{ColumnFit, Place, Policy};
use super::parse::zone::Zone;
use super::parse::{self, Rules};
use super::types::{CatalogType, ColumnType, PhysicalType};
use super::wide_text::Scratch;
use crate::bindings::types::{Cell, Column, EpochUnit, Generation, LogicalType};
use crate::rows::{RowBlock, format_uuid, temporal};

const PAGE: &str = include_str!("../../../../../docs/conversions.md");

/// Types with their object identifiers and modifiers.
const TYPES: &[(&str, i64, i32)] = &[
    ("boolean", 16, -1),
    ("smallint", 21, -1),
    ("integer", 23, -1),
    ("bigint", 20, -1),
    ("real", 700, -1),
    ("double precision", 701, -1),
    ("numeric", 1700, -1),
    ("numeric(6,2)", 1700, ((6 << 16) | 2) + 4),
    ("text", 25, -1),
    ("varchar(4)", 1043, 8),
    ("bytea", 17, -1),
    ("date", 1082, -1),
    ("time", 1083, -1),
    ("timestamp", 1114, -1),
    ("timestamptz", 1184, -1),
    ("uuid", 2950, -1),
    ("json", 114, -1),
    ("jsonb", 3802, -1),
    ("timetz", 1266, -1),
    ("interval", 1186, -1),
    ("inet", 869, -1),
    ("macaddr", 829, -1),
];

const TEXTS: &[&str] = &[
    "1.50",
    "",
    "a",
    "a longer text",
    "a\0b",
    "t",
    "1",
    "1.5",
    "-7",
    "007",
    "1e3",
    "2024-05-06",
    "12:34:56",
    "2024-05-06 07:08:09",
    "2024-05-06T07:08:09Z",
    "2024-05-06 07:08:09+00",
    "1714979289680",
    "2000-01-01 12:34:56",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
    "{}",
    "[1]",
];

const INTEGERS: &[i64] = &[
    0,
    1,
    2,
    -1,
    1_000,
    40_000,
    16_777_217,
    1_714_946_400_000,
    9_007_199_254_740_993,
    i64::MAX,
    i64::MIN,
];

const REALS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    1.5,
    -7.0,
    0.1,
    0.123_456_789_012,
    1e300,
    5e-324,
    1_714_946_400_000.0,
    f64::MAX,
    f64::INFINITY,
];

const BLOBS: &[&[u8]] = &[b"", b"a", b"true", b"{}", &[0xff; 16], &[0; 17]];

fn kind(name: &str) -> ColumnType {
    let known = TYPES.iter().find(|known| known.0 == name);
    let (_, oid, modifier) = known.unwrap_or_else(|| panic!("no type {name}"));
    let name = name.to_owned();
    ColumnType::new(CatalogType {
        oid: *oid,
        element: 0,
        modifier: *modifier,
        shown: name.clone(),
        declared: name.clone(),
        base: name.clone(),
        bare: name,
        domain: false,
        foreign_cast: None,
    })
}

/// Returns what a column holds for a cell; none if it does not take it.
fn held(cell: &Cell, column: &str, policy: &Policy) -> Option<String> {
    let kind = kind(column);
    let incoming = Column {
        name: "c".to_owned(),
        logical: LogicalType::Any,
        origin: "sqlite:".to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    };
    let place = Place {
        policy: policy.clone(),
        is_key: false,
        nullable: true,
        is_new: false,
    };
    let fit = ColumnFit::new(&incoming, &kind, place);
    let row = RowBlock::encode_row(std::slice::from_ref(cell));
    let block = RowBlock::parse(row.into(), 1, 1).unwrap();
    let cell = block.first_row().next_encoded().unwrap();
    let mut field = BytesMut::new();
    fit.put(cell, &mut field).ok()?;
    let Some(data) = field.get(4..).filter(|_| field[..4] != [0xff; 4]) else {
        return Some("NULL".to_owned());
    };
    let mut scratch = Scratch::default();
    let held = decode::cell(kind.physical, data, &mut scratch, 1).unwrap();
    Some(match (kind.physical, held.to_cell()) {
        (PhysicalType::Date, Cell::Integer(days)) => temporal::format_date(days),
        (PhysicalType::Time(_), Cell::Integer(at)) => temporal::format_time(at),
        (PhysicalType::Timestamp(_), Cell::Integer(at)) => temporal::format_timestamp(at, false),
        (PhysicalType::Timestamptz(_), Cell::Integer(at)) => temporal::format_timestamp(at, true),
        (PhysicalType::Uuid, Cell::Bytes(bytes)) => format_uuid(bytes.try_into().unwrap()),
        #[allow(clippy::cast_possible_truncation, reason = "it was single precision")]
        (PhysicalType::Float4, Cell::Real(value)) => (value as f32).to_string(),
        (_, Cell::Boolean(value)) => value.to_string(),
        (_, Cell::Integer(value)) => value.to_string(),
        (_, Cell::Real(value)) => value.to_string(),
        (_, Cell::Text(text)) => text,
        (_, Cell::Bytes(bytes)) => hex::encode(bytes),
        (_, Cell::Null) => "NULL".to_owned(),
    })
}

/// Reads a literal of SQL.
fn cell(literal: &str) -> Cell {
    if let Some(digits) = literal.strip_prefix("x'") {
        return Cell::Bytes(hex::decode(digits.strip_suffix('\'').unwrap()).unwrap());
    }
    if let Some(text) = literal.strip_prefix('\'') {
        return Cell::Text(text.strip_suffix('\'').unwrap().to_owned());
    }
    match literal.parse() {
        Ok(integer) => Cell::Integer(integer),
        Err(_) => Cell::Real(literal.parse().unwrap()),
    }
}

/// Returns the rows of the tables below a title, without their heads.
fn rows(title: &str) -> Vec<Vec<String>> {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.starts_with(title));
    let rows = section
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split(" | ");
        cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "{title}");
    rows
}

fn told() -> Policy {
    Policy::Parse(Rules {
        zone: Zone::fixed("+02:00"),
        epoch: Some(EpochUnit::Milliseconds),
    })
}

fn untold() -> Policy {
    Policy::Parse(Rules::default())
}

#[test]
fn the_page_says_how_much_each_type_takes() {
    let kinds: [Vec<Cell>; 4] = [
        TEXTS
            .iter()
            .map(|text| Cell::Text((*text).to_owned()))
            .collect(),
        INTEGERS.iter().map(|value| Cell::Integer(*value)).collect(),
        REALS.iter().map(|value| Cell::Real(*value)).collect(),
        BLOBS
            .iter()
            .map(|bytes| Cell::Bytes(bytes.to_vec()))
            .collect(),
    ];
    let mut wrong = Vec::new();
    for row in rows("By type") {
        for (cells, documented) in kinds.iter().zip(row.get(1..).unwrap()) {
            let taken = |policy: &Policy| {
                let taken = cells
                    .iter()
                    .filter(|cell| held(cell, &row[0], policy).is_some());
                match taken.count() {
                    0 => "none",
                    count if count == cells.len() => "all",
                    _ => "some",
                }
            };
            let is = format!("{} → {}", taken(&Policy::Exact), taken(&told()));
            if is != *documented {
                wrong.push(format!("{} {:?}: {is}", row[0], cells[0]));
            }
            for cell in cells {
                assert!(
                    held(cell, &row[0], &Policy::Lossy).is_some(),
                    "{} {cell:?}",
                    row[0]
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_page_says_what_values_denote() {
    let sections = [
        ("What denotes one value", untold()),
        ("What has to be told", told()),
    ];
    for (title, policy) in sections {
        for row in rows(title) {
            let [column, literal, stored] = row.as_slice() else {
                panic!("{row:?}");
            };
            let value = cell(literal);
            assert_eq!(
                held(&value, column, &policy).as_ref(),
                Some(stored),
                "{row:?}"
            );
            // What such types read by themselves is compared with what they print when it is stored.
            if !parse::comes_first(kind(column).physical) {
                let as_printed = matches!(&value, Cell::Text(text) if text == stored);
                let exact = held(&value, column, &Policy::Exact);
                assert_eq!(exact.is_some(), as_printed, "{row:?}");
            }
        }
    }
}

#[test]
fn the_page_says_what_denotes_nothing() {
    for row in rows("What denotes nothing") {
        let (column, literal) = (&row[0], &row[1]);
        let value = cell(literal);
        // What a type reads by itself is compared with what it prints.
        let by_itself = kind(column).physical == PhysicalType::ByText;
        let held = held(&value, column, &untold());
        let unchanged = held.as_deref() == Some(literal.trim_matches('\''));
        assert!(
            held.is_none() || by_itself && unchanged,
            "{row:?}: {held:?}"
        );
    }
}
