//! The other site of a run, asked over HTTP.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;

use crate::bindings::transfers::{CopyInstruction, PeerTable};
use crate::bindings::types::{Failure, Peer, TableSchema};
use crate::egress::{EgressError, Method};
use crate::failure::{ErrorCode, failure};
use crate::printable::printable;
use crate::resources::Resources;
use crate::rows::{MEDIA_TYPE, MEDIA_TYPE_COMPRESSED};
use crate::run::{IncomingRows, PeerError, PeerRows, Wanted};

/// The largest body of an answer that is no stream.
const MAX_ERROR_BYTES: usize = 1 << 16;

/// The other site of one run.
pub struct HttpPeer<'a> {
    resources: &'a Resources,
    peer: &'a Peer,
    /// All tables of this run come from one snapshot of the other site.
    run: &'a str,
    /// The tables that have other names or more columns there, by their names here.
    renamed: HashMap<&'a str, (&'a TableSchema, &'a PeerTable)>,
}

impl<'a> HttpPeer<'a> {
    /// Returns the other site of the run that an instruction is for.
    pub fn new(resources: &'a Resources, instruction: &'a CopyInstruction) -> Self {
        Self {
            resources,
            peer: &instruction.peer,
            run: &instruction.run,
            renamed: instruction
                .tables
                .iter()
                .filter_map(|table| {
                    let names = &table.incoming;
                    Some((names.table.as_str(), (names, table.source.as_ref()?)))
                })
                .collect(),
        }
    }

    async fn open(
        &self,
        table: &str,
        what: &str,
        selection: &str,
    ) -> Result<IncomingRows, PeerError> {
        let source = self.renamed.get(table).copied();
        let name = encoded(source.map_or(table, |(_, source)| &source.table));
        let mut path = format!("/sync/v1/tables/{name}/{what}?run={}{selection}", self.run);
        for column in source.iter().flat_map(|(_, source)| &source.left_out) {
            path.push_str("&without=");
            path.extend(encoded(column));
        }
        let bearer = self.resources.access().credential(self.peer).await;
        let bearer = bearer.map_err(|error| PeerError::Refused(error.into()))?;
        let accept = if self.resources.egress().stays_here(&self.peer.base_url) {
            MEDIA_TYPE
        } else {
            MEDIA_TYPE_COMPRESSED
        };
        let answer = self
            .resources
            .egress()
            .send(
                &self.peer.base_url,
                bearer.as_deref(),
                Method::Get,
                &path,
                accept,
                Vec::new(),
            )
            .await?;
        if answer.status != 200 {
            let status = answer.status;
            let body = answer.collect(MAX_ERROR_BYTES).await?;
            let failure = peer_error(status, &body);
            return Err(match status {
                // Also when too many tables are sent at the same time: one of them ends.
                429 | 502..=504 => PeerError::Broken(failure),
                _ => PeerError::Refused(failure),
            });
        }
        let mut rows = IncomingRows::open(answer.stream()).await?;
        if let Some((names, source)) = source {
            rows.rename(names, source);
        }
        Ok(rows)
    }
}

fn encoded(name: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
}

#[async_trait]
impl PeerRows for HttpPeer<'_> {
    async fn rows(&self, table: &str, wanted: Wanted<'_>) -> Result<IncomingRows, PeerError> {
        let selection = match wanted {
            Wanted::All => String::new(),
            Wanted::After(key) => format!("&after={}", hex::encode(key)),
            Wanted::First(rows) => format!("&first={rows}"),
            Wanted::Buckets(set) => format!("&buckets={}", set.encode()),
        };
        self.open(table, "rows", &selection).await
    }

    async fn digest(&self, table: &str, buckets: u32) -> Result<(Bytes, u64), PeerError> {
        let selection = format!("&buckets={buckets}");
        let incoming = self.open(table, "digest", &selection).await?;
        incoming.into_digest().await
    }
}

impl From<EgressError> for PeerError {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::Unreachable { .. } | EgressError::Timeout(_) => Self::Broken(error.into()),
            error => Self::Refused(error.into()),
        }
    }
}

/// The code that a peer sent, if peers may send it.
fn code_from_peer(code: &str) -> ErrorCode {
    let code = code.parse().ok();
    code.filter(|code: &ErrorCode| code.is_from_peer())
        .unwrap_or(ErrorCode::Sender)
}

/// What the peer answered instead of rows.
fn peer_error(status: u16, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Envelope {
        error: Failure,
    }
    match serde_json::from_slice::<Envelope>(body) {
        Ok(Envelope { error }) => failure(
            code_from_peer(&error.code),
            printable(&error.message),
            printable(&error.hint),
        ),
        Err(_) => failure(
            ErrorCode::IncompatiblePeer,
            format!("the other site answered with status {status} and no reason"),
            "check that the address is the one `tombolo share` printed",
        ),
    }
}
