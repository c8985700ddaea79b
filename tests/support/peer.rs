//! Peers that do not use the product: a raw HTTP client, and a site in the middle that breaks row streams.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// An HTTP answer, read to its end.
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

/// The body of a claim. Secrets have at least 32 bytes; shorter ones are filled up.
pub fn claim_body(code: &str, secret: &str) -> Vec<u8> {
    let secret = format!("{secret:-<32}");
    let claim = json!({
        "code": code, "claimer_secret": secret, "claimer": "a test", "protocol": 1, "row_format": 1,
    });
    claim.to_string().into_bytes()
}

/// Claims a code as somebody who knows a secret.
pub fn claim(url: &str, code: &str, secret: &str) -> Answer {
    request(
        url,
        "POST",
        "/sync/v1/claim",
        None,
        &claim_body(code, secret),
    )
}

/// The bearer token that a claim was answered with.
pub fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.json()["token"].as_str().map(str::to_owned);
    token.unwrap_or_else(|| panic!("{answer:?}"))
}

/// Asks for the list of tables under a token.
pub fn tables(url: &str, token: &str) -> Answer {
    request(url, "GET", "/sync/v1/tables", Some(token), b"")
}

/// One request on a connection of its own.
pub fn request(url: &str, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
    let mut socket = connect(url);
    socket
        .write_all(&encode(method, path, token, body))
        .unwrap();
    read_answer(socket)
}

/// A request's bytes.
pub fn encode(method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    if let Some(token) = token {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A connection to a site's address.
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
    if header(&headers, "transfer-encoding") == Some("chunked") {
        read_chunks(&mut reader, &mut body);
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

type Headers = Vec<(String, String)>;

fn read_head(reader: &mut BufReader<TcpStream>) -> Option<(String, Headers)> {
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

fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(header, _)| header == name);
    found.map(|(_, value)| value.as_str())
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16);
        let length = length.unwrap_or_else(|_| panic!("no chunk: {line:?}"));
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).unwrap();
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return;
        }
    }
}

/// What the site in the middle answers instead of the real row stream.
pub enum Tampered {
    /// These bytes, as a complete HTTP body.
    Whole(Vec<u8>),
    /// These bytes, and then the connection breaks in the midst of the body.
    Broken(Vec<u8>),
    /// These bytes, and then nothing, with the connection open.
    Stalled(Vec<u8>),
}

/// A site between a `pull` and a real `share`: it passes on everything, but for the row streams of one table.
pub struct Middle {
    pub url: String,
    stop: Arc<AtomicBool>,
}

impl Middle {
    /// Starts it; `tamper` gets the true bytes of the row stream of `table`.
    pub fn new(
        share: &str,
        table: &str,
        tamper: impl Fn(Vec<u8>) -> Tampered + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, tamper) = (Arc::clone(&stop), Arc::new(tamper));
        let share = authority(share).to_owned();
        let rows = format!("/tables/{table}/rows");
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (share, rows) = (share.clone(), rows.clone());
                let (stopped, tamper) = (Arc::clone(&stopped), Arc::clone(&tamper));
                std::thread::spawn(move || pass(&socket, &share, &rows, tamper.as_ref(), &stopped));
            }
        });
        Self { url, stop }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(authority(&self.url));
    }
}

/// Serves one connection: one request, one answer, close.
fn pass(
    client: &TcpStream,
    share: &str,
    rows: &str,
    tamper: &(impl Fn(Vec<u8>) -> Tampered + ?Sized),
    stopped: &AtomicBool,
) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let Some((first, headers)) = read_head(&mut reader) else {
        return;
    };
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();

    let mut head = format!(
        "{first}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in &headers {
        if !["connection", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    let Ok(mut upstream) = TcpStream::connect(share) else {
        return;
    };
    upstream
        .write_all(&[head.as_bytes(), &body].concat())
        .unwrap();
    let answer = read_answer(upstream);

    // A sample of the first rows is no transfer.
    let is_rows = first.contains(rows) && !first.contains("&first=") && answer.status == 200;
    let sent = if is_rows {
        tamper(answer.body)
    } else {
        Tampered::Whole(answer.body)
    };
    let (bytes, missing) = match &sent {
        Tampered::Whole(bytes) => (bytes, 0),
        Tampered::Broken(bytes) | Tampered::Stalled(bytes) => (bytes, 1_000),
    };
    let head = format!(
        "HTTP/1.1 {} Passed\r\ncontent-type: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        answer.status,
        answer.media_type,
        bytes.len() + missing
    );
    let mut client = client;
    let _ = client.write_all(head.as_bytes());
    let _ = client.write_all(bytes);
    if matches!(sent, Tampered::Stalled(_)) {
        while !stopped.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}
