//! A line between a `pull` and a `share` that fails once, at a chosen frame of a row stream, while the rows flow.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::corruption::{PREFIX, START};
use super::peer::{authority, header, read_head};

/// How the line fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Both sides see their connection end.
    Cut,
    /// Nothing passes any more, and no connection ends.
    Stall,
    /// The sender sees its connection end, the receiver sees nothing.
    HalfOpen,
}

/// What happened on the line.
#[derive(Debug, Default)]
pub struct Log {
    /// When it failed.
    pub failed: Option<Instant>,
    /// Rows of whole frames that passed, in each row stream.
    pub rows: Vec<u64>,
}

/// The line. It fails in the first stream of the table's rows, one that is only a look at a few of them left out.
pub struct Line {
    pub url: String,
    pub log: Arc<Mutex<Log>>,
}

impl Line {
    /// `at`: how many frames pass before it fails.
    pub fn new(share: &str, table: &str, fault: Fault, at: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Log::default()));
        let (share, rows) = (authority(share).to_owned(), format!("/tables/{table}/rows"));
        let shared = Arc::clone(&log);
        // Ends with the process, as the connections that it keeps open do.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (share, rows, log) = (share.clone(), rows.clone(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let _ = pass(&client, &share, &rows, fault, at, &log);
                });
            }
        });
        Self { url, log }
    }
}

/// Serves one connection: one request, one answer, close.
fn pass(
    client: &TcpStream,
    share: &str,
    rows: &str,
    fault: Fault,
    at: usize,
    log: &Mutex<Log>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some((first, headers)) = read_head(&mut reader) else {
        return Ok(());
    };
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let upstream = TcpStream::connect(share)?;
    (&upstream).write_all(&head(&first, &headers, Some(body.len())))?;
    (&upstream).write_all(&body)?;

    let mut answer = BufReader::new(upstream.try_clone()?);
    let Some((status, headers)) = read_head(&mut answer) else {
        return client.shutdown(Shutdown::Both);
    };
    let chunked = header(&headers, "transfer-encoding") == Some("chunked");
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
    (&*client).write_all(&head(&status, &headers, length))?;
    if !chunked {
        std::io::copy(&mut answer, &mut &*client)?;
        return client.shutdown(Shutdown::Both);
    }
    let is_whole = first.contains(rows) && !first.contains("&first=");
    let stream = is_whole.then(|| {
        let mut log = log.lock().unwrap();
        log.rows.push(0);
        log.rows.len() - 1
    });
    let mut frames = Frames::default();
    while let Some(piece) = read_chunk(&mut answer)? {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at(frames.until_boundary().min(rest.len()));
            // Like a body without a length that ends with its connection.
            (&*client).write_all(part)?;
            frames.add(part);
            let Some(stream) = stream else { continue };
            let mut log = log.lock().unwrap();
            log.rows[stream] = frames.rows;
            if frames.is_at_boundary() && frames.passed == at && log.failed.is_none() {
                log.failed = Some(Instant::now());
                drop(log);
                return fail(client, &upstream, fault);
            }
        }
    }
    client.shutdown(Shutdown::Both)
}

fn fail(client: &TcpStream, upstream: &TcpStream, fault: Fault) -> std::io::Result<()> {
    match fault {
        Fault::Cut => {
            upstream.shutdown(Shutdown::Both)?;
            // Within the body: an end without its length would look like an end.
            client.shutdown(Shutdown::Both)
        }
        Fault::HalfOpen => {
            upstream.shutdown(Shutdown::Both)?;
            std::thread::sleep(Duration::from_secs(600));
            Ok(())
        }
        Fault::Stall => {
            std::thread::sleep(Duration::from_secs(600));
            Ok(())
        }
    }
}

/// A head for one exchange on one connection.
fn head(first: &str, headers: &[(String, String)], length: Option<usize>) -> Vec<u8> {
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

fn read_chunk(answer: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
    if length == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; length + 2];
    answer.read_exact(&mut chunk)?;
    chunk.truncate(length);
    Ok(Some(chunk))
}

/// Counts frames as they pass.
#[derive(Default)]
struct Frames {
    passed: usize,
    rows: u64,
    /// The frame under way, up to where its rows are counted.
    begun: Vec<u8>,
    seen: usize,
    started: bool,
}

impl Frames {
    /// Bytes until the end of what is under way, as far as known.
    fn until_boundary(&self) -> usize {
        self.wanted() - self.seen
    }

    fn wanted(&self) -> usize {
        if !self.started {
            return START;
        }
        match self.begun.get(2..6) {
            Some(length) if self.seen >= PREFIX => {
                PREFIX + u32::from_be_bytes(length.try_into().unwrap()) as usize
            }
            _ => PREFIX,
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.started && self.seen == 0
    }

    fn add(&mut self, part: &[u8]) {
        let kept = part
            .len()
            .min((PREFIX + 12).saturating_sub(self.begun.len()));
        self.begun.extend_from_slice(&part[..kept]);
        self.seen += part.len();
        if self.seen < self.wanted() {
            return;
        }
        if self.started {
            self.passed += 1;
            if self.begun[0] == b'R' {
                let count = self.begun[PREFIX + 8..PREFIX + 12].try_into().unwrap();
                self.rows += u64::from(u32::from_be_bytes(count));
            }
        }
        self.started = true;
        self.seen = 0;
        self.begun.clear();
    }
}
