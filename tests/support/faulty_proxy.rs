//! A proxy between a `pull` and a `share` that fails once, after a given number of frames of a row stream.

use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::frames::{FRAME_HEADER, STREAM_START, payload_length};
use super::http::{
    Forwarded, authority, content_length, encode_head, is_chunked, read_chunk, read_head,
};

/// How the proxy fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Both connections close.
    Closed,
    /// Nothing is passed on, and no connection closes.
    Stalled,
    /// The connection to the sender closes, the one to the receiver stays open.
    HalfOpen,
}

/// What the proxy did.
#[derive(Debug, Default)]
pub struct Log {
    /// When it failed.
    pub failed: Option<Instant>,
    /// The rows in whole frames that it passed on, for each row stream.
    pub rows: Vec<u64>,
}

/// The proxy.
pub struct FaultyProxy {
    pub url: String,
    pub log: Arc<Mutex<Log>>,
}

impl FaultyProxy {
    /// Starts it; it fails when `frames` frames of a row stream of `table` have passed.
    pub fn new(share: &str, table: &'static str, fault: Fault, frames: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Log::default()));
        let share = authority(share).to_owned();
        let shared = Arc::clone(&log);
        // Runs until the process ends, and so do the connections that it keeps open.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (share, log) = (share.clone(), Arc::clone(&shared));
                std::thread::spawn(move || serve(&client, &share, table, fault, frames, &log));
            }
        });
        Self { url, log }
    }
}

/// Serves one connection with one request.
fn serve(
    client: &TcpStream,
    share: &str,
    table: &str,
    fault: Fault,
    frames: usize,
    log: &Mutex<Log>,
) -> io::Result<()> {
    let Some(request) = Forwarded::new(client, share)? else {
        return Ok(());
    };
    let mut answer = BufReader::new(request.upstream.try_clone()?);
    let Some((status, headers)) = read_head(&mut answer) else {
        return client.shutdown(Shutdown::Both);
    };
    (&*client).write_all(&encode_head(&status, &headers, content_length(&headers)))?;
    if !is_chunked(&headers) {
        io::copy(&mut answer, &mut &*client)?;
        return client.shutdown(Shutdown::Both);
    }
    let stream = request.asks_for_rows(table).then(|| {
        let mut log = log.lock().unwrap();
        log.rows.push(0);
        log.rows.len() - 1
    });
    let mut counter = FrameCounter::default();
    while let Some(chunk) = read_chunk(&mut answer)? {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at(counter.until_boundary().min(rest.len()));
            // Sent as a body without a length, which ends with its connection.
            (&*client).write_all(part)?;
            counter.add(part);
            let Some(stream) = stream else { continue };
            let mut log = log.lock().unwrap();
            log.rows[stream] = counter.rows;
            if counter.is_at_boundary() && counter.frames == frames && log.failed.is_none() {
                log.failed = Some(Instant::now());
                drop(log);
                return fail(client, &request.upstream, fault);
            }
        }
    }
    client.shutdown(Shutdown::Both)
}

fn fail(client: &TcpStream, upstream: &TcpStream, fault: Fault) -> io::Result<()> {
    if matches!(fault, Fault::Closed | Fault::HalfOpen) {
        upstream.shutdown(Shutdown::Both)?;
    }
    match fault {
        Fault::Closed => client.shutdown(Shutdown::Both),
        Fault::Stalled | Fault::HalfOpen => {
            std::thread::sleep(Duration::from_secs(600));
            Ok(())
        }
    }
}

/// Counts the frames of a stream and the rows in them.
#[derive(Default)]
struct FrameCounter {
    frames: usize,
    rows: u64,
    /// The start of the current frame, up to the end of its row count.
    start: Vec<u8>,
    /// Bytes of the current frame, or of the stream's start.
    length: usize,
    has_stream_start: bool,
}

impl FrameCounter {
    /// Bytes until the end of the current frame, or of its header while its length is unknown.
    fn until_boundary(&self) -> usize {
        self.expected() - self.length
    }

    fn expected(&self) -> usize {
        match self.has_stream_start {
            false => STREAM_START,
            true if self.length < FRAME_HEADER => FRAME_HEADER,
            true => FRAME_HEADER + payload_length(&self.start),
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.has_stream_start && self.length == 0
    }

    fn add(&mut self, part: &[u8]) {
        let kept = part
            .len()
            .min((FRAME_HEADER + 12).saturating_sub(self.start.len()));
        self.start.extend_from_slice(&part[..kept]);
        self.length += part.len();
        if self.length < self.expected() {
            return;
        }
        if self.has_stream_start {
            self.frames += 1;
            if self.start[0] == b'R' {
                let count = self.start[FRAME_HEADER + 8..FRAME_HEADER + 12].try_into();
                self.rows += u64::from(u32::from_be_bytes(count.unwrap()));
            }
        }
        self.has_stream_start = true;
        self.length = 0;
        self.start.clear();
    }
}
