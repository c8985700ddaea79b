//! A COPY that stays open over many blocks: one block is sent while the next one is encoded.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::database::DatabaseError;
use crate::database::postgres::codec::copy_stream::{end_copy, start_copy};
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;

/// Encoded blocks that wait for the server, each at most a frame.
const WAITING: usize = 2;

/// What the task that has the session is told.
enum Piece {
    Rows(Bytes),
    End,
}

/// A COPY under way in a task of its own, which has the session. Dropped, it is given up with its connection.
pub(in crate::database::postgres) struct CopyIn {
    pieces: mpsc::Sender<Piece>,
    work: JoinHandle<(Session, Result<(), DatabaseError>)>,
}

impl CopyIn {
    /// Starts `statement`, a COPY from STDIN in binary format.
    pub fn start(mut session: Session, statement: String) -> Self {
        let (pieces, mut waiting) = mpsc::channel(WAITING);
        let work = tokio::spawn(async move {
            let outcome = copy(&mut session, &statement, &mut waiting).await;
            (session, outcome)
        });
        Self { pieces, work }
    }

    /// Sends encoded rows; [`Self::finish`] returns what goes wrong.
    pub async fn send(&self, rows: BytesMut) {
        // Fails where the COPY has ended already.
        let _ = self.pieces.send(Piece::Rows(rows.freeze())).await;
    }

    /// Ends the COPY. Returns the session, none if it is lost, and the error of the COPY.
    pub async fn finish(self) -> (Option<Session>, Result<(), DatabaseError>) {
        let _ = self.pieces.send(Piece::End).await;
        drop(self.pieces);
        match self.work.await {
            Ok((session, outcome)) => (Some(session), outcome),
            Err(lost) => {
                let lost = error::plain(format!("the connection was lost during a COPY: {lost}"));
                (None, Err(DatabaseError::Busy(lost)))
            }
        }
    }

    /// Gives the COPY up. Returns the session, whose transaction has to be rolled back; none if it is lost.
    pub async fn abort(self) -> Option<Session> {
        drop(self.pieces);
        self.work.await.ok().map(|(session, _)| session)
    }
}

async fn copy(
    session: &mut Session,
    statement: &str,
    pieces: &mut mpsc::Receiver<Piece>,
) -> Result<(), DatabaseError> {
    let broken = |error| error::at_work(&error);
    let mut copy = session.raw().copy_in_raw(statement).await.map_err(broken)?;
    let mut framing = BytesMut::new();
    start_copy(&mut framing);
    copy.send(&framing[..]).await.map_err(broken)?;
    loop {
        match pieces.recv().await {
            Some(Piece::Rows(rows)) => copy.send(&rows[..]).await.map_err(broken)?,
            Some(Piece::End) => break,
            None => {
                copy.abort("given up").await.map_err(broken)?;
                return Ok(());
            }
        };
    }
    framing.clear();
    end_copy(&mut framing);
    copy.send(&framing[..]).await.map_err(broken)?;
    copy.finish().await.map_err(broken)?;
    Ok(())
}
