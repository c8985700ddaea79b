//! Fits the values of an incoming column into a local one, by the column's conversion policy.

use bytes::{BufMut, BytesMut};

use super::encode::ColumnEncoding;
use super::lossy;
use super::parse::{self, Goal, Refusal, Rules};
use super::types::{ColumnType, PhysicalType};
use crate::bindings::types::{Cell, Column, LogicalType};
use crate::database::Origin;
use crate::rows::{CellRef, EncodedCell};

/// What happens to a value that the column cannot hold exactly.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::database::postgres) enum Policy {
    /// It does not fit.
    Exact,
    /// The value that it denotes is taken.
    Parse(Rules),
    /// The value that it denotes or the nearest one is taken.
    Lossy,
}

/// A local column, as far as it decides what fits.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct Place {
    pub policy: Policy,
    /// Whether it is in the key: another key would be that of another row.
    pub is_key: bool,
    pub nullable: bool,
    /// Whether the run creates the table.
    pub is_new: bool,
}

/// How the values of one incoming column get into a local one.
#[derive(Clone, Debug)]
pub(in crate::database::postgres) struct ColumnFit {
    /// How cells are encoded for the column, or for the staging in front of it.
    encoding: ColumnEncoding,
    /// The type of the column itself.
    physical: PhysicalType,
    place: Place,
    /// Whether it comes from PostgreSQL.
    from_postgres: bool,
}

impl ColumnFit {
    pub fn new(incoming: &Column, kind: &ColumnType, place: Place) -> Self {
        let origin = Origin::parse(&incoming.origin);
        let from_postgres = origin.is_postgres();
        Self {
            encoding: ColumnEncoding {
                incoming: incoming.logical.clone(),
                local: kind.logical.clone(),
                physical: kind.physical,
                by_class: origin.is_sqlite(),
                check_documents: !from_postgres,
                keeps_form: place.policy == Policy::Exact,
            },
            physical: kind.physical,
            place,
            from_postgres,
        }
    }

    /// Returns the same fit into a staging that holds the column's values as another type.
    pub fn staged_as(mut self, physical: PhysicalType) -> Self {
        self.encoding.physical = physical;
        self
    }

    /// Returns the logical type of the cells that arrive.
    pub fn incoming(&self) -> &LogicalType {
        &self.encoding.incoming
    }

    /// Returns whether each cell says itself what it means.
    pub fn is_by_class(&self) -> bool {
        self.encoding.by_class
    }

    /// Returns whether the column comes from PostgreSQL.
    pub fn is_from_postgres(&self) -> bool {
        self.from_postgres
    }

    /// Returns whether some value may be held in another form than it arrives in, or not at all.
    pub fn converts(&self) -> bool {
        let ColumnEncoding {
            incoming,
            local,
            physical,
            ..
        } = &self.encoding;
        match physical {
            PhysicalType::WideText(_) => false,
            _ if incoming != local => true,
            _ => {
                !self.from_postgres
                    && (self.place.policy != Policy::Exact || *incoming == LogicalType::Decimal)
            }
        }
    }

    /// Returns whether values that change denote what they denoted before.
    pub fn keeps_meaning(&self) -> bool {
        self.place.policy != Policy::Lossy
    }

    /// Appends a cell if it fits as it is.
    pub fn put_exact(&self, cell: EncodedCell<'_>, out: &mut BytesMut) -> Result<(), String> {
        match self.parsed_first(cell, out) {
            Some(Ok(())) => Err("the text is not in the form of its type".to_owned()),
            Some(Err(reason)) => Err(reason),
            None => self.encoding.copy_cell(cell, out),
        }
    }

    /// Appends a cell, or what takes its place. Returns whether that is another one, or why nothing fits.
    pub fn put(&self, cell: EncodedCell<'_>, out: &mut BytesMut) -> Result<bool, String> {
        let start = out.len();
        if let Some(parsed) = self.parsed_first(cell, out) {
            return parsed.map(|()| true);
        }
        let Err(reason) = self.encoding.copy_cell(cell, out) else {
            return Ok(false);
        };
        out.truncate(start);
        let Some(cell) = cell.decode() else {
            return Err(reason);
        };
        let refusal = match &self.place.policy {
            Policy::Lossy if self.place.is_key => return Err(self.advised(reason, cell)),
            Policy::Exact => return Err(self.advised(reason, cell)),
            Policy::Parse(rules) => self.put_parsed(cell, rules, out),
            Policy::Lossy => self.put_parsed(cell, &Rules::default(), out),
        };
        let Err(refusal) = refusal else {
            return Ok(true);
        };
        if self.place.policy == Policy::Lossy && self.put_nearest(cell, out) {
            return Ok(true);
        }
        Err(match refusal {
            Refused::AsCell(refusal) => self.refused(reason, refusal, cell),
            Refused::AsParsed(reason) => reason,
        })
    }

    /// Appends a cell that keeps its meaning. The error says why it does not fit, without the value.
    pub fn encode(&self, cell: CellRef<'_>, out: &mut BytesMut) -> Result<(), String> {
        let start = out.len();
        let exact = self.encoding.encode(cell, out);
        let (Err(_), Policy::Parse(rules)) = (&exact, &self.place.policy) else {
            return exact;
        };
        out.truncate(start);
        self.put_parsed(cell, rules, out).or(exact)
    }

    /// Returns what to add to the reason why PostgreSQL refused a cell that was handed to it as it is.
    pub fn advice(&self, cell: CellRef<'_>) -> Option<String> {
        let untried = self.place.policy == Policy::Exact && parse::comes_first(self.physical);
        if !untried || self.is_its_own_form(cell, &Rules::default()) {
            return None;
        }
        self.option(cell)
    }

    /// Appends what a cell denotes if its type would read other spellings and this is one of them. Fails if its type would
    /// read one value where there are several.
    fn parsed_first(
        &self,
        cell: EncodedCell<'_>,
        out: &mut BytesMut,
    ) -> Option<Result<(), String>> {
        let default = Rules::default();
        let rules = match &self.place.policy {
            Policy::Parse(rules) => rules,
            Policy::Lossy if !self.place.is_key => &default,
            Policy::Exact | Policy::Lossy => return None,
        };
        if !parse::comes_first(self.physical) {
            return None;
        }
        let cell = cell.decode()?;
        if self.is_its_own_form(cell, rules) {
            return None;
        }
        match self.put_parsed(cell, rules, out) {
            Ok(()) => Some(Ok(())),
            Err(Refused::AsCell(Refusal::Part(reason))) => Some(Err(reason.to_owned())),
            Err(_) => None,
        }
    }

    /// Returns whether a cell is what it denotes.
    fn is_its_own_form(&self, cell: CellRef<'_>, rules: &Rules) -> bool {
        let same_type = self.from_postgres && self.encoding.incoming == self.encoding.local;
        same_type
            || match parse::parse(cell, self.goal(), rules) {
                Ok((_, Cell::Text(parsed))) => cell == CellRef::Text(&parsed),
                _ => false,
            }
    }

    fn put_parsed(
        &self,
        cell: CellRef<'_>,
        rules: &Rules,
        out: &mut BytesMut,
    ) -> Result<(), Refused> {
        let start = out.len();
        let (incoming, parsed) = parse::parse(cell, self.goal(), rules).map_err(Refused::AsCell)?;
        let encoding = ColumnEncoding {
            incoming,
            by_class: false,
            keeps_form: false,
            ..self.encoding.clone()
        };
        encoding.encode((&parsed).into(), out).map_err(|reason| {
            out.truncate(start);
            Refused::AsParsed(reason)
        })
    }

    /// Appends the nearest value that the column can hold; false if there is none, not even NULL.
    fn put_nearest(&self, cell: CellRef<'_>, out: &mut BytesMut) -> bool {
        let before = out.len();
        let ColumnEncoding {
            incoming, physical, ..
        } = &self.encoding;
        if let Some((incoming, cell)) = lossy::nearest(cell, incoming, *physical) {
            let encoding = ColumnEncoding {
                incoming,
                by_class: false,
                keeps_form: false,
                ..self.encoding.clone()
            };
            if encoding.encode((&cell).into(), out).is_ok() {
                return true;
            }
            out.truncate(before);
        }
        if self.place.nullable {
            out.put_i32(-1);
        }
        self.place.nullable
    }

    fn goal(&self) -> Goal<'_> {
        Goal {
            incoming: &self.encoding.incoming,
            local: &self.encoding.local,
            physical: self.physical,
        }
    }

    /// Returns the reason why a cell denotes no value, and the option that helps.
    fn refused(&self, reason: String, refusal: Refusal, cell: CellRef<'_>) -> String {
        match refusal {
            Refusal::NeedsZone => {
                "the date-time does not say its time zone; add --time-zone ZONE".to_owned()
            }
            Refusal::NeedsEpoch => {
                "the number does not say what it counts; add --epoch s, ms or us".to_owned()
            }
            Refusal::Skipped => "the clocks of the time zone skip this time".to_owned(),
            Refusal::Twice => "the clocks of the time zone show this time twice".to_owned(),
            Refusal::Part(reason) => reason.to_owned(),
            Refusal::Nothing => self.advised(reason, cell),
        }
    }

    /// Adds to a reason the option with which the value fits.
    fn advised(&self, reason: String, cell: CellRef<'_>) -> String {
        match self.option(cell) {
            Some(option) => format!("{reason}; {option}"),
            None => reason,
        }
    }

    /// Returns which option would take a value that does not fit, as the end of a sentence.
    fn option(&self, cell: CellRef<'_>) -> Option<String> {
        let mut out = BytesMut::new();
        let keeps_keys = self.place.policy == Policy::Lossy && self.place.is_key;
        if self.place.policy == Policy::Exact || keeps_keys {
            let more = match self.put_parsed(cell, &Rules::default(), &mut out) {
                Ok(()) => Some(""),
                Err(Refused::AsCell(Refusal::NeedsZone)) => Some(" --time-zone ZONE"),
                Err(Refused::AsCell(Refusal::NeedsEpoch)) => Some(" --epoch s, ms or us"),
                Err(_) => None,
            };
            if let Some(more) = more {
                return Some(format!("add --conversion parse{more}"));
            }
        }
        if self.place.is_new && !self.from_postgres {
            return Some("--conversion widen creates a column that takes it".to_owned());
        }
        if self.place.policy == Policy::Lossy || self.place.is_key {
            return None;
        }
        self.put_nearest(cell, &mut out)
            .then(|| "--conversion lossy stores the nearest value or NULL".to_owned())
    }
}

/// Why a cell was not parsed.
enum Refused {
    /// It denotes nothing.
    AsCell(Refusal),
    /// What it denotes does not fit the column.
    AsParsed(String),
}
