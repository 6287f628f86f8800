//! The limits: blocking sockets with precomputed bytes, a bare walk over headers, the minimum work
//! of tokio.

use crate::server::Address;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Returns a command in RESP.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// Reads each length and nothing else: the minimum work of any RESP reader.
pub fn headers(mut rest: &[u8]) -> usize {
    let mut values = 0usize;
    while let Some((&kind, tail)) = rest.split_first() {
        let mut n = 0;
        rest = tail;
        while let Some((&digit @ b'0'..=b'9', tail)) = rest.split_first() {
            n = n * 10 + usize::from(digit - b'0');
            rest = tail;
        }
        let body = if kind == b'$' { n + 2 } else { 0 };
        rest = rest.get(2 + body..).unwrap_or_default();
        values += 1;
    }
    values
}

/// Finds the end of replies that arrive in pieces, by their headers.
#[derive(Debug, Default)]
pub struct Walk {
    at: usize,
    awaited: usize,
}

impl Walk {
    /// Starts a walk to the end of this number of replies.
    pub fn over(replies: usize) -> Self {
        Self { at: 0, awaited: replies }
    }

    /// Continues as far as the bytes reach. Returns the end of the last reply, once it has arrived.
    pub fn go(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.awaited > 0 {
            let rest = bytes.get(self.at..)?;
            let kind = *rest.first()?;
            let mut next = 1;
            let mut n: Option<usize> = None;
            while let Some(digit @ b'0'..=b'9') = rest.get(next) {
                n = Some(n.unwrap_or(0) * 10 + usize::from(digit - b'0'));
                next += 1;
            }
            while *rest.get(next)? != b'\n' {
                next += 1;
            }
            next += 1;
            let (inside, body) = match (kind, n) {
                (b'*' | b'~' | b'>', Some(n)) => (n, 0),
                (b'%', Some(n)) => (2 * n, 0),
                (b'$' | b'=' | b'!', Some(n)) => (0, n + 2),
                _ => (0, 0),
            };
            if rest.len() < next + body {
                return None;
            }
            self.at += next + body;
            self.awaited += inside;
            self.awaited -= 1;
        }
        Some(self.at)
    }
}

trait Socket: Read + Write + Send {}
impl<S: Read + Write + Send> Socket for S {}

/// A blocking connection.
pub struct Control {
    socket: Box<dyn Socket>,
    bytes: Vec<u8>,
    filled: usize,
    /// Line ends that arrived before they were waited for.
    lines: usize,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    pub fn connect(at: &Address) -> io::Result<Self> {
        let socket: Box<dyn Socket> = match at {
            Address::Tcp(port) => {
                let socket = TcpStream::connect(("127.0.0.1", *port))?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path)?),
        };
        Ok(Self { socket, bytes: vec![0; 1 << 20], filled: 0, lines: 0 })
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server reads");
    }

    /// Waits for `count` replies, passes them on, and removes them from the buffer.
    pub fn replies<T>(&mut self, count: usize, look: impl FnOnce(&[u8]) -> T) -> T {
        let mut walk = Walk::over(count);
        let end = loop {
            if let Some(end) = walk.go(&self.bytes[..self.filled]) {
                break end;
            }
            if self.filled == self.bytes.len() {
                self.bytes.resize(2 * self.filled, 0);
            }
            let room = &mut self.bytes[self.filled..];
            let read = self.socket.read(room).expect("the server writes");
            assert!(read > 0, "the server closed the connection");
            self.filled += read;
        };
        let result = look(&self.bytes[..end]);
        self.bytes.copy_within(end..self.filled, 0);
        self.filled -= end;
        result
    }

    /// Waits for `count` replies that are one bulk string each: ids. Only the ends of their two
    /// lines are counted.
    pub fn ids(&mut self, count: usize) {
        while self.lines < 2 * count {
            let read = self.socket.read(&mut self.bytes).expect("the server writes");
            assert!(read > 0, "the server closed the connection");
            self.lines += self.bytes[..read].iter().filter(|byte| **byte == b'\n').count();
        }
        self.lines -= 2 * count;
    }

    pub fn ask(&mut self, words: &[&str]) -> Vec<u8> {
        self.write(&command(words));
        self.replies(1, <[u8]>::to_vec)
    }

    /// Sends many commands, a thousand at a time, and discards the replies.
    pub fn ask_all<I: IntoIterator<Item = Vec<u8>>>(&mut self, commands: I) {
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let (mut wave, mut count) = (Vec::new(), 0);
            for command in commands.by_ref().take(1000) {
                wave.extend_from_slice(&command);
                count += 1;
            }
            self.write(&wave);
            self.replies(count, |bytes| {
                assert!(!bytes.starts_with(b"-"), "{}", bytes.escape_ascii());
            });
        }
    }
}

/// The minimum work of a tokio client for one command after the other: writes its bytes, reads
/// until the reply is complete.
pub struct Minimal<S> {
    socket: S,
    bytes: Vec<u8>,
}

pub trait AsyncSocket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> AsyncSocket for S {}

impl Minimal<tokio::net::TcpStream> {
    pub async fn tcp(port: u16) -> Self {
        let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a server");
        socket.set_nodelay(true).expect("TCP has it");
        Self { socket, bytes: vec![0; 1 << 16] }
    }
}

impl Minimal<tokio::net::UnixStream> {
    pub async fn unix(path: &std::path::Path) -> Self {
        let socket = tokio::net::UnixStream::connect(path).await.expect("a server");
        Self { socket, bytes: vec![0; 1 << 16] }
    }
}

impl<S: AsyncSocket> Minimal<S> {
    pub async fn one(&mut self, command: &[u8]) {
        self.socket.write_all(command).await.expect("the server reads");
        let (mut filled, mut walk) = (0, Walk::over(1));
        while walk.go(&self.bytes[..filled]).is_none() {
            let read = self.socket.read(&mut self.bytes[filled..]).await;
            filled += read.expect("the server writes");
        }
    }
}
