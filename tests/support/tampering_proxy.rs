//! A proxy between a `pull` and a `share` that replaces the row streams of one table.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::http::{Forwarded, authority, read_answer};

/// What the proxy sends instead of a row stream.
pub enum Body {
    /// These bytes as a complete body.
    Complete(Vec<u8>),
    /// These bytes; then the connection closes before the body is complete.
    CutOff(Vec<u8>),
    /// These bytes; then nothing on an open connection.
    Stalled(Vec<u8>),
}

/// The proxy; it passes on everything except the row streams of one table.
pub struct TamperingProxy {
    pub url: String,
    stop: Arc<AtomicBool>,
}

impl TamperingProxy {
    /// Starts it; `tamper` gets the undamaged bytes of each row stream of `table`.
    pub fn new(
        share: &str,
        table: &'static str,
        tamper: impl Fn(Vec<u8>) -> Body + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, tamper) = (Arc::clone(&stop), Arc::new(tamper));
        let share = authority(share).to_owned();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let share = share.clone();
                let (stopped, tamper) = (Arc::clone(&stopped), Arc::clone(&tamper));
                std::thread::spawn(move || {
                    serve(&socket, &share, table, tamper.as_ref(), &stopped)
                });
            }
        });
        Self { url, stop }
    }
}

impl Drop for TamperingProxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(authority(&self.url));
    }
}

/// Serves one connection with one request.
fn serve(
    client: &TcpStream,
    share: &str,
    table: &str,
    tamper: &(impl Fn(Vec<u8>) -> Body + ?Sized),
    stopped: &AtomicBool,
) -> io::Result<()> {
    let Some(request) = Forwarded::new(client, share)? else {
        return Ok(());
    };
    let is_rows = request.asks_for_rows(table);
    let answer = read_answer(request.upstream);
    let sent = if is_rows && answer.status == 200 {
        tamper(answer.body)
    } else {
        Body::Complete(answer.body)
    };
    let (bytes, missing) = match &sent {
        Body::Complete(bytes) => (bytes, 0),
        Body::CutOff(bytes) | Body::Stalled(bytes) => (bytes, 1_000),
    };
    let head = format!(
        "HTTP/1.1 {} Passed\r\ncontent-type: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        answer.status,
        answer.media_type,
        bytes.len() + missing
    );
    let mut client = client;
    client.write_all(head.as_bytes())?;
    client.write_all(bytes)?;
    while matches!(sent, Body::Stalled(_)) && !stopped.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
    client.shutdown(Shutdown::Both)
}
