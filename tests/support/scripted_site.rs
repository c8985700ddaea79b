//! A site that answers as a test says, and the row streams and descriptions that it can send.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tombolo::bindings::types::{Column, Generation, LogicalType, TableSchema};
use tombolo::rows::{
    BlockBuilder, CellRef, StreamEnd, StreamHeader, encode_end, encode_header, encode_rows,
    encode_start,
};

use super::http::{content_length, read_head};

/// An answer.
pub enum Reply {
    /// A JSON document.
    Json(Value),
    /// These bytes, the whole JSON document.
    Text(Vec<u8>),
    /// These bytes of a row stream; then the connection closes, as at its end or as if it broke.
    Stream(Vec<u8>),
    /// These bytes of a row stream, and then others again and again.
    Endless(Vec<u8>, Vec<u8>),
}

/// The site; it serves until the process ends.
pub struct ScriptedSite {
    pub url: String,
    requests: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl ScriptedSite {
    /// Starts a site that accepts every code, and answers every other request as `answer` says, which gets the path with the
    /// query and the number of the request, from 0.
    pub fn new(answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let paths = Arc::new(Mutex::new(Vec::new()));
        let (counted, noted) = (Arc::clone(&requests), Arc::clone(&paths));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || {
                    // The client may close the connection at any time.
                    let _ = serve(&client, answer.as_ref(), &counted, &noted);
                });
            }
        });
        Self {
            url,
            requests,
            paths,
        }
    }

    /// A site with one table, and the streams of its rows by the path with the query and the number of the request.
    pub fn with_table(
        schema: TableSchema,
        rows: u64,
        stream: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |path, number| {
            if path.starts_with("/sync/v1/tables?") {
                Reply::Json(json!({"tables": [shared(&schema, rows)], "next": null}))
            } else {
                stream(path, number)
            }
        })
    }

    /// The number of requests so far, without the claims.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The number of requests so far whose path contains a text.
    pub fn requests_with(&self, text: &str) -> usize {
        let paths = self.paths.lock().unwrap();
        paths.iter().filter(|path| path.contains(text)).count()
    }
}

fn serve(
    client: &TcpStream,
    answer: &(impl Fn(&str, usize) -> Reply + ?Sized),
    counted: &AtomicUsize,
    noted: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some((first, headers)) = read_head(&mut reader) else {
        return Ok(());
    };
    let mut body = vec![0; content_length(&headers).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let reply = if path == "/sync/v1/claim" {
        Reply::Json(json!({
            "token": "t0ken", "scope": {"tables": ["*"]}, "source": "0123456789abcdef",
            "protocol": 1, "row_format": 1,
        }))
    } else if path.starts_with("/sync/v1/done") {
        Reply::Text(Vec::new())
    } else {
        noted.lock().unwrap().push(path.to_owned());
        answer(path, counted.fetch_add(1, Ordering::Relaxed))
    };
    let mut client = client;
    match reply {
        Reply::Json(json) => complete(client, json.to_string().as_bytes())?,
        Reply::Text(bytes) => complete(client, &bytes)?,
        Reply::Stream(bytes) => {
            client.write_all(STREAM.as_bytes())?;
            client.write_all(&bytes)?;
        }
        Reply::Endless(begin, again) => {
            client.write_all(STREAM.as_bytes())?;
            client.write_all(&begin)?;
            loop {
                client.write_all(&again)?;
            }
        }
    }
    client.shutdown(Shutdown::Both)
}

/// The head of a row stream, which ends with its connection.
const STREAM: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/vnd.tombolo.rows\r\n\r\n";

fn complete(mut client: &TcpStream, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body)
}

/// A column without anything special.
pub fn column(name: &str, logical: LogicalType, origin: &str) -> Column {
    Column {
        name: name.to_owned(),
        logical,
        origin: origin.to_owned(),
        nullable: true,
        default: None,
        generation: Generation::None,
    }
}

/// A table of two columns whose key is `id`, an integer.
pub fn numbered(table: &str) -> TableSchema {
    TableSchema {
        table: table.to_owned(),
        columns: vec![
            column("id", LogicalType::Integer, "pg:bigint"),
            column("v", LogicalType::Text, "pg:text"),
        ],
        primary_key: vec!["id".to_owned()],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        enums: Vec::new(),
    }
}

/// A table as a site lists it.
pub fn shared(schema: &TableSchema, rows: u64) -> Value {
    json!({"table": schema.table, "kind": "table", "rows": rows, "exact": true, "schema": schema})
}

/// The start of a row stream.
pub fn begun(schema: &TableSchema) -> Vec<u8> {
    let header = StreamHeader {
        table: schema.clone(),
        snapshot: "a snapshot".to_owned(),
    };
    [encode_start(), encode_header(&header).unwrap()].concat()
}

/// A frame of rows of two columns.
pub fn frame(rows: &[[CellRef<'_>; 2]], before: u64) -> Vec<u8> {
    let mut builder = BlockBuilder::new(2);
    for row in rows {
        row.iter().for_each(|cell| builder.push(*cell));
        builder.end_row();
    }
    encode_rows(&builder.take(), before, false).to_vec()
}

/// A whole stream of one frame.
pub fn whole(schema: &TableSchema, rows: &[[CellRef<'_>; 2]]) -> Vec<u8> {
    let mut builder = BlockBuilder::new(2);
    for row in rows {
        row.iter().for_each(|cell| builder.push(*cell));
        builder.end_row();
    }
    let block = builder.take();
    let end = StreamEnd::new(rows.len() as u64, block.digest());
    let end = encode_end(&end).unwrap();
    [&begun(schema), &encode_rows(&block, 0, false)[..], &end].concat()
}
