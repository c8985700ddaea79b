//! Updates rows that take unique values from each other: a list that is reordered, two rows that swap.

use super::apply::Application;
use super::moved_values::{MovedValues, Parking};
use crate::database::DatabaseError;
use crate::database::sqlite::codec::storage::SqliteValueRef;
use crate::database::sqlite::raw::{RawConnection, Statement};

/// Rows that cannot be updated, by their numbers, with the reasons.
type Refused = Vec<(i64, String)>;

/// How an attempt to update in two steps ended.
enum Attempt {
    /// All rows but these are updated; these are as they were.
    Done { changed: u64, refused: Refused },
    /// A row that cannot be updated could not get its old values back, because others have them: without these rows, the
    /// others have to be looked at again.
    Again { refused: Refused },
    /// The table takes no values that rows could hold between the steps.
    Impossible,
}

/// Updates all staged rows that exist by a statement that updates a range of them, in two steps where unique values are in
/// its way, and rejects the rows that cannot be updated. Returns the number of rows that it changed.
pub fn update(
    application: &mut Application<'_>,
    moves: &MovedValues,
    sql: &str,
) -> Result<u64, DatabaseError> {
    let connection = application.connection;
    connection.execute("SAVEPOINT tombolo_moves", &[])?;
    if let Some(changed) = update_at_once(application, sql)? {
        connection.execute("RELEASE tombolo_moves", &[])?;
        return Ok(changed);
    }
    connection.execute("ROLLBACK TO tombolo_moves", &[])?;
    let mut backwards = false;
    loop {
        let attempt = update_in_steps(application, moves, sql, backwards)?;
        if !matches!(attempt, Attempt::Done { .. }) {
            connection.execute("ROLLBACK TO tombolo_moves", &[])?;
        }
        let changed = match &attempt {
            Attempt::Done { changed, .. } => Some(*changed),
            Attempt::Again { .. } => None,
            Attempt::Impossible => Some(application.write(sql)?),
        };
        if let Attempt::Done { refused, .. } | Attempt::Again { refused } = attempt {
            for (number, reason) in refused {
                application.reject(number, &reason)?;
            }
        }
        if let Some(changed) = changed {
            connection.execute("RELEASE tombolo_moves", &[])?;
            return Ok(changed);
        }
        // The rows that wait for each other are mostly in one of the two orders.
        backwards = !backwards;
    }
}

/// Updates all rows as long as the table takes every one. Returns none if it does not.
fn update_at_once(application: &Application<'_>, sql: &str) -> Result<Option<u64>, DatabaseError> {
    let connection = application.connection;
    let mut statement = connection.prepare(sql)?;
    let mut changed = 0;
    for (first, last) in application.ranges() {
        if let Err(error) = statement.run(range(first, last)) {
            return match connection.fault_of_row(&error) {
                Some(_) => Ok(None),
                None => Err(error.into()),
            };
        }
        changed += connection.changes();
    }
    Ok(Some(changed))
}

fn update_in_steps(
    application: &Application<'_>,
    moves: &MovedValues,
    sql: &str,
    backwards: bool,
) -> Result<Attempt, DatabaseError> {
    let connection = application.connection;
    connection.execute(&moves.create(), &[])?;
    connection.execute(&moves.note(), &[])?;
    if !park(connection, moves)? {
        return Ok(Attempt::Impossible);
    }
    let others = format!(
        "{sql} AND NOT EXISTS (SELECT 1 FROM temp.tombolo_parked AS p WHERE p.row = s.row)"
    );
    let mut ranges = application.ranges();
    if backwards {
        ranges.reverse();
    }
    let mut steps = Steps {
        connection,
        restore: String::new(),
        backwards,
        most: application.books.rejects_left(),
        changed: 0,
        refused: Vec::new(),
        is_blocked: false,
    };
    for (sql, restore) in [(others, String::new()), (moves.take(), moves.restore())] {
        let mut statement = connection.prepare(&sql)?;
        steps.restore = restore;
        for (first, last) in &ranges {
            steps.update(&mut statement, *first, *last)?;
        }
    }
    connection.execute(MovedValues::drop(), &[])?;
    let Steps {
        changed, refused, ..
    } = steps;
    Ok(match steps.is_blocked {
        true => Attempt::Again { refused },
        false => Attempt::Done { changed, refused },
    })
}

/// Takes the unique values from the noted rows. Returns false if the table takes no others.
fn park(connection: &RawConnection<'_>, moves: &MovedValues) -> Result<bool, DatabaseError> {
    for parking in Parking::ALL {
        let sql = moves.park(parking, rand::random());
        connection.execute("SAVEPOINT tombolo_parking", &[])?;
        let parked =
            connection.without_triggers_and_checks(|| match connection.execute(&sql, &[]) {
                Ok(_) => Ok(true),
                Err(error) if connection.fault_of_row(&error).is_some() => Ok(false),
                Err(error) => Err(error.into()),
            })?;
        if !parked {
            connection.execute("ROLLBACK TO tombolo_parking", &[])?;
        }
        connection.execute("RELEASE tombolo_parking", &[])?;
        if parked {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The second step: rows take their new values.
struct Steps<'a> {
    connection: &'a RawConnection<'a>,
    /// Gives a row its old values back; empty if it has them.
    restore: String,
    backwards: bool,
    /// More refused rows than these end the chunk: no further one is looked for.
    most: u64,
    changed: u64,
    refused: Refused,
    /// Whether a row could not get its old values back.
    is_blocked: bool,
}

impl Steps<'_> {
    /// Halves a range that contains a row that SQLite refuses, until only that row is left.
    fn update(
        &mut self,
        statement: &mut Statement<'_>,
        first: i64,
        last: i64,
    ) -> Result<(), DatabaseError> {
        if self.refused.len() as u64 > self.most {
            self.is_blocked = true;
            return Ok(());
        }
        let connection = self.connection;
        connection.execute("SAVEPOINT tombolo_range", &[])?;
        let Err(error) = statement.run(range(first, last)) else {
            self.changed += connection.changes();
            connection.execute("RELEASE tombolo_range", &[])?;
            return Ok(());
        };
        let Some(reason) = connection.fault_of_row(&error) else {
            return Err(error.into());
        };
        connection.execute("ROLLBACK TO tombolo_range", &[])?;
        connection.execute("RELEASE tombolo_range", &[])?;
        if first == last {
            self.refused.push((first, reason));
            return self.restore(first);
        }
        let middle = first + (last - first) / 2;
        let mut halves = [(first, middle), (middle + 1, last)];
        if self.backwards {
            halves.reverse();
        }
        for (first, last) in halves {
            self.update(statement, first, last)?;
        }
        Ok(())
    }

    /// Gives a refused row its old values back, unless others have taken them.
    fn restore(&mut self, number: i64) -> Result<(), DatabaseError> {
        if self.restore.is_empty() {
            return Ok(());
        }
        let connection = self.connection;
        let number = [SqliteValueRef::Integer(number)];
        let restored = connection.without_triggers_and_checks(|| {
            match connection.execute(&self.restore, &number) {
                Ok(_) => Ok(true),
                Err(error) if connection.fault_of_row(&error).is_some() => Ok(false),
                Err(error) => Err(error.into()),
            }
        })?;
        self.is_blocked |= !restored;
        Ok(())
    }
}

fn range(first: i64, last: i64) -> [SqliteValueRef<'static>; 2] {
    [first, last].map(SqliteValueRef::Integer)
}
