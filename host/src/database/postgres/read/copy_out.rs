//! Reads the rows of a `COPY … TO STDOUT` into blocks.

use futures::StreamExt;
use tokio::sync::mpsc;

use crate::database::DatabaseError;
use crate::database::postgres::codec::copy_stream::CopyReader;
use crate::database::postgres::codec::decode::DecodeError;
use crate::database::postgres::codec::local_cells::{self, CellForm};
use crate::database::postgres::codec::types::ColumnType;
use crate::database::postgres::connection::Session;
use crate::database::postgres::error;
use crate::rows::{BlockBuilder, RowBlock};

/// Runs a COPY and sends its rows, with their cells in `forms`. Returns true if the stream was read to its end, false if the receiver is gone.
///
/// Fails with [`DatabaseError::Unsuitable`] if the rows cannot be decoded.
pub(in crate::database::postgres) async fn send_rows(
    reader: &mut Session,
    statement: &str,
    types: &[ColumnType],
    forms: &[Option<CellForm>],
    table: &str,
    blocks: mpsc::Sender<RowBlock>,
) -> Result<bool, DatabaseError> {
    let malformed = |error: DecodeError| DatabaseError::Unsuitable {
        table: table.to_owned(),
        reason: error.to_string(),
    };
    let mut copy = CopyReader::new(types.iter().map(|kind| kind.physical).collect());
    let differ = forms.iter().any(Option::is_some);
    let in_form = |block: RowBlock| match differ {
        true => local_cells::reform(&block, forms),
        false => block,
    };
    let mut rows = BlockBuilder::new(types.len());
    let mut pieces = reader
        .raw()
        .copy_out_raw(statement)
        .await
        .map_err(|error| error::at_work(&error))?;
    loop {
        // A sort may take long before its first row.
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = blocks.closed() => return Ok(false),
        };
        let Some(piece) = piece else { break };
        copy.push(&piece.map_err(|error| error::at_work(&error))?);
        while copy.next_row(&mut rows).map_err(malformed)? {
            if rows.is_full() && blocks.send(in_form(rows.take())).await.is_err() {
                return Ok(false);
            }
        }
    }
    if !copy.is_complete() {
        return Err(malformed(DecodeError::Format));
    }
    if !rows.is_empty() {
        // The stream was read to its end, even if the receiver is gone.
        let _ = blocks.send(in_form(rows.take())).await;
    }
    Ok(true)
}
