//! A process that runs a sample.

use crate::support::Server;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, io};

/// The time limit of a sample that ends by itself.
const LIMIT: Duration = Duration::from_secs(30);

/// A running sample. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Sample {
    name: String,
    process: Child,
    output: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Sample {
    /// Starts a sample in Python, and executes this code after it.
    pub(crate) fn python(server: &Server, name: &str, then: &str) -> Self {
        let mut command = Command::new(clients().join("venv/bin/python"));
        command.arg(here().join("run.py")).arg(here().join("samples").join(name)).arg(then);
        Self::start(server, name, command)
    }

    /// Starts a sample in TypeScript.
    pub(crate) fn node(server: &Server, name: &str) -> Self {
        let mut command = Command::new("node");
        command.args(["--no-warnings", "--experimental-vm-modules"]).arg(here().join("run.mjs"));
        command.arg(clients()).arg(here().join("samples").join(name));
        Self::start(server, name, command)
    }

    /// Runs a sample in Python to its end, and this code after it. Returns its output.
    pub(crate) fn run(server: &Server, name: &str, then: &str) -> Vec<String> {
        let (status, output) = Self::python(server, name, then).ended();
        assert!(status.success(), "{name} failed:\n{}", output.join("\n"));
        output
    }

    fn start(server: &Server, name: &str, mut command: Command) -> Self {
        command.env("PORT", server.port().to_string()).env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::new(Mutex::new(Vec::new()));
        let (out, err) = (process.stdout.take(), process.stderr.take());
        let readers = vec![
            read(out.expect("it is piped"), &output),
            read(err.expect("it is piped"), &output),
        ];
        Self { name: name.to_owned(), process, output, readers }
    }

    /// Returns the output so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.output.lock().expect("the lock is not poisoned").clone()
    }

    /// Returns how many lines of the output start like this.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.output().iter().filter(|line| line.starts_with(start)).count()
    }

    /// Waits until the sample has ended by itself. Returns its status and its output.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "{} runs for {LIMIT:?}", self.name);
            thread::sleep(Duration::from_millis(10));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        (status, self.output())
    }

    /// Ends the sample, which must still run. Returns its output.
    pub(crate) fn stop(mut self) -> Vec<String> {
        let status = self.process.try_wait().expect("it is our child");
        assert!(status.is_none(), "{} ended:\n{}", self.name, self.output().join("\n"));
        self.output()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(from: impl io::Read + Send + 'static, output: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            output.lock().expect("the lock is not poisoned").push(line);
        }
    })
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/other_clients")
}

/// Returns the folder of the clients.
fn clients() -> PathBuf {
    let folder = env::var_os("BOURN_OTHER_CLIENTS").map(PathBuf::from);
    let folder = folder
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/other-clients"));
    let is_there = folder.join("ready").exists();
    assert!(
        is_there,
        "redis-py and ioredis are not in {}: run scripts/other-clients",
        folder.display()
    );
    folder
}
