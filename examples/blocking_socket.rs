//! The protocol without the client, over a blocking socket: adds one entry. Its argument is an
//! address.

use bourn::resp::{Frame, Limits, Scanner};
use bourn::{Command, EntryId, XAdd, command};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:6379".into());
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(&command::encode(&XAdd::new("orders").field("sku", "A-7")))?;
    let mut socket = BufReader::new(socket);

    let mut scanner = Scanner::new(Limits::default());
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = scanner.scan(&buffer)? {
            break end;
        }
        let received = socket.fill_buf()?;
        if received.is_empty() {
            return Err("the server closed the connection".into());
        }
        buffer.extend_from_slice(received);
        let n = received.len();
        socket.consume(n);
    };

    // Bytes behind `end` belong to the next frame.
    let next = buffer.split_off(end);
    let frame = Frame::parse(buffer, Limits::default())?;
    if let Some(text) = frame.error() {
        return Err(String::from_utf8_lossy(text).into_owned().into());
    }
    let id: EntryId = XAdd::reply(frame)?;
    println!("added {id}; {} more bytes", next.len());
    Ok(())
}
