//! Peers that misbehave: many connections, from loopback addresses of their own.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::http::authority;

/// The address of an attacker: `127.0.0.N`.
pub fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Connects from an address.
pub async fn connect_from(source: IpAddr, url: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(authority(url).parse().unwrap()).await
}

/// Opens so many connections that say nothing; fewer if the system allows no more.
pub async fn silent(source: IpAddr, url: &str, number: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..number {
        let connecting = tokio::time::timeout(Duration::from_secs(5), connect_from(source, url));
        match connecting.await {
            Ok(Ok(socket)) => open.push(socket),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    open
}

/// Connects from an address, sends a request, and returns the status and the body of the answer, whose connection closes
/// behind it.
pub async fn exchange(source: IpAddr, url: &str, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut socket = connect_from(source, url).await?;
    socket.write_all(request).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or_else(broken)? + 4);
    let head = String::from_utf8_lossy(head);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(broken)?, body.to_vec()))
}

/// A line of a process's status, in KiB: `VmHWM` is the most memory that it ever had, `VmRSS` what it has.
pub fn memory(process: u32, line: &str) -> u64 {
    memory_while_running(process, line).unwrap_or_else(|| panic!("no {line} of {process}"))
}

/// The same; none if the process has ended.
pub fn memory_while_running(process: u32, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let found = status
        .lines()
        .find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
    found?.split_whitespace().next()?.parse().ok()
}

/// The number of file descriptors that a process has open.
pub fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .count()
}

/// The number of private copies of databases that a process has open. They have no names.
pub fn copies(process: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let copies: BTreeSet<PathBuf> = links
        .filter(|link| link.to_string_lossy().contains("/snapshot.sqlite"))
        .collect();
    copies.len()
}
