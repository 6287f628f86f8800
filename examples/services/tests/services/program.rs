//! A service that runs, and HTTP to talk to it. Everything has a time limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The limit of every wait. On an idle machine most take milliseconds.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A running program. It is killed when it is dropped.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        command.env("LOG", "error").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// Runs a program to its end. It has to succeed. Returns what it printed.
    pub fn output(command: Command) -> String {
        let mut program = Self::start(command);
        assert!(program.end().success(), "the program failed");
        program.lines.iter().map(|line| line + "\n").collect()
    }

    /// The rest of the first line that begins so.
    pub fn line(&self, start: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).expect("the line comes in time");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([signal, pid]).status().expect("kill").success());
    }

    /// Kills the program (SIGKILL) and waits until it is gone.
    pub fn kill9(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is our child");
    }

    /// Waits for the program's own end.
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: String,
}

/// Sends a request; `head` is further header lines.
fn send(address: &str, method: &str, path: &str, head: &[&str], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the service accepts connections");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for line in head {
        request += &format!("{line}\r\n");
    }
    if method == "POST" {
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("the request is sent");
    stream
}

/// One request with its response.
pub fn http(address: &str, method: &str, path: &str, head: &[&str], body: &str) -> Response {
    let mut text = String::new();
    let mut stream = send(address, method, path, head, body);
    stream.read_to_string(&mut text).expect("a response in time");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Response { status: status.expect("a status"), body: body.to_owned() }
}

pub fn get(address: &str, path: &str) -> Response {
    http(address, "GET", path, &[], "")
}

/// A stream of server-sent events.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn open(address: &str, path: &str, head: &[&str]) -> Self {
        let mut events = Self(BufReader::new(send(address, "GET", path, head, "")));
        let status = events.text().expect("a response");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        events
    }

    fn text(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.0.read_line(&mut line).expect("a line in time");
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// The id and the data of the next event; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<(String, String)> {
        let (mut id, mut data) = (None, None);
        loop {
            let line = self.text()?;
            if let Some(rest) = line.strip_prefix("id: ") {
                id = Some(rest.to_owned());
            } else if let Some(rest) = line.strip_prefix("data: ") {
                data = Some(rest.to_owned());
            }
            if let (Some(id), Some(data)) = (&id, &data) {
                return Some((id.clone(), data.clone()));
            }
        }
    }
}
