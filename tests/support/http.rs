//! An HTTP client and the parts of a proxy, written without code of the product.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// A complete HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub media_type: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error.
    pub fn error(&self) -> String {
        assert_ne!(self.status, 200, "{self:?}");
        let code = self.json()["error"]["code"].as_str().map(str::to_owned);
        code.unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// The body of a claim; `secret` is filled up to the 32 bytes that a secret has at least.
pub fn claim_body(code: &str, secret: &str) -> Vec<u8> {
    let secret = format!("{secret:-<32}");
    let claim = json!({
        "code": code, "claimer_secret": secret, "claimer": "a test", "protocol": 1, "row_format": 1,
    });
    claim.to_string().into_bytes()
}

/// Claims a code with a secret.
pub fn claim(url: &str, code: &str, secret: &str) -> Answer {
    request(
        url,
        "POST",
        "/sync/v1/claim",
        None,
        &claim_body(code, secret),
    )
}

/// The bearer token in the answer to a claim.
pub fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["token"].as_str().map(str::to_owned);
    token.unwrap_or_else(|| panic!("{answer:?}"))
}

/// Requests the list of tables with a token.
pub fn tables(url: &str, token: &str) -> Answer {
    request(url, "GET", "/sync/v1/tables", Some(token), b"")
}

/// Sends one request on a connection of its own.
pub fn request(url: &str, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let mut socket = connect(url);
    socket
        .write_all(&encode_request(method, path, token, body))
        .unwrap();
    read_answer(socket)
}

/// The bytes of a request.
pub fn encode_request(method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut headers = vec![("host".to_owned(), "test".to_owned())];
    if let Some(token) = token {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    let first = format!("{method} {path} HTTP/1.1");
    [&encode_head(&first, &headers, Some(body.len())), body].concat()
}

/// Connects to the address of a site.
pub fn connect(url: &str) -> TcpStream {
    let socket =
        TcpStream::connect(authority(url)).unwrap_or_else(|error| panic!("{url}: {error}"));
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// `host:port` of an address.
pub fn authority(url: &str) -> &str {
    url.strip_prefix("http://").unwrap().trim_end_matches('/')
}

/// Reads an answer whose connection closes behind it.
pub fn read_answer(socket: TcpStream) -> Answer {
    let mut reader = BufReader::new(socket);
    let (first, headers) = read_head(&mut reader).expect("an answer");
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{first:?}"));
    let mut body = Vec::new();
    if is_chunked(&headers) {
        while let Some(chunk) = read_chunk(&mut reader).unwrap() {
            body.extend(chunk);
        }
    } else {
        reader.read_to_end(&mut body).unwrap();
    }
    let media_type = header(&headers, "content-type")
        .unwrap_or_default()
        .to_owned();
    Answer {
        status,
        media_type,
        body,
    }
}

pub type Headers = Vec<(String, String)>;

/// Reads a first line and its headers, with names in lower case; returns `None` if the connection ended.
pub fn read_head(reader: &mut BufReader<TcpStream>) -> Option<(String, Headers)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return Some((first.trim_end().to_owned(), headers)),
        }
    }
}

/// The value of the header `content-length`.
pub fn content_length(headers: &Headers) -> Option<usize> {
    header(headers, "content-length")?.parse().ok()
}

/// Whether the body comes in chunks.
pub fn is_chunked(headers: &Headers) -> bool {
    header(headers, "transfer-encoding") == Some("chunked")
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(header, _)| header == name);
    found.map(|(_, value)| value.as_str())
}

/// Reads one chunk of a body; returns `None` after the last one.
pub fn read_chunk(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let length = usize::from_str_radix(line.trim(), 16)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("no chunk: {line:?}")))?;
    let mut chunk = vec![0; length + 2];
    reader.read_exact(&mut chunk)?;
    chunk.truncate(length);
    Ok((length > 0).then_some(chunk))
}

/// Encodes a first line and headers for a connection that closes behind the body.
pub fn encode_head(first: &str, headers: &Headers, length: Option<usize>) -> Vec<u8> {
    let mut head = format!("{first}\r\nconnection: close\r\n");
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    for (name, value) in headers {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A request that a proxy passed on.
pub struct Forwarded {
    /// The first line of the request.
    first: String,
    /// The connection on which its answer comes.
    pub upstream: TcpStream,
}

impl Forwarded {
    /// Reads a request from a client and sends it to `share` (`host:port`); returns `None` if none came.
    pub fn new(client: &TcpStream, share: &str) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(client.try_clone()?);
        let Some((first, headers)) = read_head(&mut reader) else {
            return Ok(None);
        };
        let mut body = vec![0; content_length(&headers).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let mut upstream = TcpStream::connect(share)?;
        upstream.write_all(&encode_head(&first, &headers, Some(body.len())))?;
        upstream.write_all(&body)?;
        Ok(Some(Self { first, upstream }))
    }

    /// Whether it asks for the rows of a table, and not for a sample of the first ones.
    pub fn asks_for_rows(&self, table: &str) -> bool {
        self.first.contains(&format!("/tables/{table}/rows")) && !self.first.contains("&first=")
    }
}
