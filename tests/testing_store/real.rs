//! A real server on a plain socket.

use crate::compare::Wire;
use bytes::Bytes;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The time limit for a reply.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    bytes: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the server takes connections");
        socket.set_nodelay(true).expect("it is a TCP socket");
        socket.set_read_timeout(Some(LIMIT)).expect("the limit is not 0");
        Self { socket, bytes: Vec::new() }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &[Bytes]) {
        let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
        for word in request {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.socket.write_all(&bytes).expect("the server reads");
    }

    /// Waits for a reply.
    pub(crate) fn receive(&mut self) -> Wire {
        loop {
            if let Some(reply) = self.take() {
                return reply;
            }
            assert!(self.read().expect("the server answers in time") > 0, "it closed");
        }
    }

    /// Returns a reply that has come already.
    pub(crate) fn receive_now(&mut self) -> Option<Wire> {
        self.socket.set_nonblocking(true).expect("it is a socket");
        let read = self.read();
        self.socket.set_nonblocking(false).expect("it is a socket");
        match read {
            Ok(read) => assert!(read > 0, "the server closed the connection"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        // The rest of a long reply may come later.
        (!self.bytes.is_empty()).then(|| self.receive())
    }

    /// Sends a request of words, and waits for its reply.
    pub(crate) fn ask(&mut self, words: &str) -> Wire {
        let request: Vec<_> = words.split(' ').map(|word| Bytes::from(word.to_owned())).collect();
        self.send(&request);
        self.receive()
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 65_536];
        let read = self.socket.read(&mut buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    fn take(&mut self) -> Option<Wire> {
        let (reply, rest) = Wire::parse(&self.bytes)?;
        self.bytes = rest.to_vec();
        Some(reply)
    }
}
