//! The connection that writes, and the chunk's transaction or COPY that it is in.

use bytes::BytesMut;

use super::copy_in::CopyIn;
use crate::database::DatabaseError;
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;
use crate::database::postgres::meta::trust;

/// A connection that writes one chunk at a time, each in a transaction.
pub(in crate::database::postgres) enum WriteConnection {
    /// Statements may run.
    Free(Free),
    /// A COPY of the chunk's rows has the session.
    Copying(CopyIn),
    /// The session was lost in a COPY.
    Lost,
}

/// A session that no COPY has.
pub(in crate::database::postgres) struct Free {
    session: Session,
    /// Whether a chunk's transaction is open.
    in_chunk: bool,
}

impl WriteConnection {
    /// Takes over a session without a transaction.
    pub fn new(session: Session) -> Self {
        Self::Free(Free {
            session,
            in_chunk: false,
        })
    }

    /// Returns the session; a COPY under way is ended first. Fails with [`DatabaseError::Busy`] if the session is lost,
    /// and with the COPY's error if it has one.
    pub async fn session(&mut self) -> Result<&mut Session, DatabaseError> {
        Ok(&mut self.end_copy().await?.session)
    }

    /// Returns the session outside of any chunk: one that is under way is rolled back.
    pub async fn outside_chunk(&mut self) -> Result<&mut Session, DatabaseError> {
        self.rollback().await?;
        self.session().await
    }

    /// Returns the session in the chunk's transaction, with all rows copied; none without a chunk.
    pub async fn chunk(&mut self) -> Result<Option<&mut Session>, DatabaseError> {
        let free = self.end_copy().await?;
        Ok(free.in_chunk.then_some(&mut free.session))
    }

    /// Sends encoded rows into the chunk's COPY. The first ones start the transaction with `begin` and the COPY.
    pub async fn copy(
        &mut self,
        begin: &str,
        statement: &str,
        rows: BytesMut,
    ) -> Result<(), DatabaseError> {
        if let Self::Free(free) = self
            && !free.in_chunk
        {
            free.begin(begin).await?;
        }
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Free(free) => Self::Copying(CopyIn::start(free.session, statement.to_owned())),
            other => other,
        };
        match self {
            Self::Copying(copy) => {
                copy.send(rows).await;
                Ok(())
            }
            Self::Free(_) | Self::Lost => Err(lost()),
        }
    }

    /// Gives up the chunk under way, and begins another with `begin`. Returns the session in its transaction.
    pub async fn begin_again(&mut self, begin: &str) -> Result<&mut Session, DatabaseError> {
        self.rollback().await?;
        match self {
            Self::Free(free) => {
                free.begin(begin).await?;
                Ok(&mut free.session)
            }
            Self::Copying(_) | Self::Lost => Err(lost()),
        }
    }

    /// Commits the chunk under way.
    pub async fn commit(&mut self) -> Result<(), DatabaseError> {
        let free = self.end_copy().await?;
        free.session.run("COMMIT").await?;
        free.in_chunk = false;
        Ok(())
    }

    /// Gives up the chunk under way; harmless without one.
    pub async fn rollback(&mut self) -> Result<(), DatabaseError> {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Copying(copy) => Self::in_chunk(copy.abort().await),
            other => other,
        };
        match self {
            Self::Free(free) if free.in_chunk => {
                free.session.run("ROLLBACK").await?;
                free.in_chunk = false;
                Ok(())
            }
            Self::Free(_) => Ok(()),
            Self::Copying(_) | Self::Lost => Err(lost()),
        }
    }

    fn in_chunk(session: Option<Session>) -> Self {
        session.map_or(Self::Lost, |session| {
            Self::Free(Free {
                session,
                in_chunk: true,
            })
        })
    }

    /// Ends the COPY under way, so that its rows are in the staging or the table.
    async fn end_copy(&mut self) -> Result<&mut Free, DatabaseError> {
        match std::mem::replace(self, Self::Lost) {
            Self::Copying(copy) => {
                let (session, outcome) = copy.finish().await;
                *self = Self::in_chunk(session);
                outcome?;
            }
            other => *self = other,
        }
        match self {
            Self::Free(free) => Ok(free),
            Self::Copying(_) | Self::Lost => Err(lost()),
        }
    }
}

impl Free {
    async fn begin(&mut self, begin: &str) -> Result<(), DatabaseError> {
        self.session.run(begin).await?;
        self.in_chunk = true;
        // Before the first query, from which on a repeatable transaction would not see what others change.
        trust::lock_to_write(&mut self.session).await
    }
}

fn lost() -> DatabaseError {
    DatabaseError::Busy(error::plain(
        "the connection was lost; what was committed is complete".to_owned(),
    ))
}
