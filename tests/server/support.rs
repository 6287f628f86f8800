//! A real server for one test, on its own loopback port and Unix socket, removed after the test.
//!
//! The test chooses the server ([`Builder::label`]), else `BOURN_SERVER`, else `valkey-9.1`.
//! `scripts/servers` fetches them into `.servers`, or to `BOURN_SERVERS`. Any failure here panics,
//! also for a server that was not fetched.
//!
//! | Event | The process and its folder |
//! |---|---|
//! | [`Server::kill9`] | killed; the folder is kept for [`Server::restart`] |
//! | the [`Server`] is dropped, also by a panic | killed and removed |
//! | the test process ends, even by SIGKILL | killed and removed by the watcher, a shell |

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

const DEFAULT_LABEL: &str = "valkey-9.1";

/// The time limit for a server's first answer. About 10 ms is usual, on a busy machine far more.
const START: Duration = Duration::from_secs(30);

/// The time limit for a command's reply.
const REPLY: Duration = Duration::from_secs(30);

/// A running server, or a killed one that can be restarted.
#[derive(Debug)]
pub(crate) struct Server {
    builder: Builder,
    binary: Binary,
    folder: PathBuf,
    port: u16,
    running: Option<Running>,
}

impl Server {
    /// Starts an empty server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder for a server with other settings, started by [`Builder::start`].
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Kills the server (SIGKILL) and waits until it has ended. A second call does nothing.
    pub(crate) fn kill9(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts the server again, with the same folder and port. A running one is killed first.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        self.run().unwrap_or_else(|why| panic!("{}", self.report(&why)));
    }

    /// Stops the process (SIGSTOP): the kernel still accepts connections, and no request is
    /// answered.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Continues a stopped process (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Returns `redis://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns `redis+unix:///path/of/the/socket`.
    pub(crate) fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket_path().display())
    }

    /// Returns the TCP port on 127.0.0.1, the same after a restart.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path of the Unix socket, the same after a restart.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Returns the name in `scripts/servers`, such as `redis-7.2`.
    pub(crate) fn label(&self) -> &str {
        &self.binary.label
    }

    /// Whether it is Valkey rather than Redis.
    pub(crate) fn is_valkey(&self) -> bool {
        self.binary.valkey
    }

    /// Returns the version of the binary. A Valkey's is its own version.
    pub(crate) fn version(&self) -> (u32, u32, u32) {
        self.binary.version
    }

    /// Whether it has the features of Redis `major.minor`. Valkey has none after 7.2.
    pub(crate) fn redis_at_least(&self, major: u32, minor: u32) -> bool {
        let (own_major, own_minor, _) = self.version();
        (major, minor) <= if self.is_valkey() { (7, 2) } else { (own_major, own_minor) }
    }

    /// Whether it is Valkey `major.minor` or later. False for Redis.
    pub(crate) fn valkey_at_least(&self, major: u32, minor: u32) -> bool {
        let (own_major, own_minor, _) = self.version();
        self.is_valkey() && (major, minor) <= (own_major, own_minor)
    }

    /// Returns the process id of the running server, which a restart changes.
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server was killed").process.id()
    }

    /// Returns the server's log, including that from before restarts.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Calls [`Server::try_command`] for a command that must succeed.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap_or_else(|why| panic!("{words:?}: {why}"))
    }

    /// Calls [`Server::command`] for arguments that are not text.
    pub(crate) fn command_bytes(&self, words: &[&[u8]]) -> String {
        self.ask(words, REPLY)
            .unwrap_or_else(|error| Err(error.to_string()))
            .unwrap_or_else(|why| panic!("{}: {why}", words.join(&b' ').escape_ascii()))
    }

    /// Runs a command on a separate connection over the Unix socket, authenticated if
    /// `--requirepass` was given.
    ///
    /// Strings are returned unchanged (invalid UTF-8 replaced), integers in decimal, null as an
    /// empty text, and arrays as one line per element, nested ones flattened.
    ///
    /// # Errors
    ///
    /// Returns the server's error (`CODE text`), or the reason for a missing reply.
    pub(crate) fn try_command(&self, words: &[&str]) -> Result<String, String> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        self.ask(&words, REPLY).unwrap_or_else(|error| Err(error.to_string()))
    }

    fn ask(&self, words: &[&[u8]], limit: Duration) -> io::Result<Result<String, String>> {
        let mut admin = Admin::connect(&self.socket_path(), limit)?;
        if let Some(password) = self.builder.value("--requirepass") {
            if let Err(refused) = admin.ask(&[b"AUTH", password.as_bytes()])? {
                return Ok(Err(refused));
            }
        }
        admin.ask(words)
    }

    /// Starts the process and waits for its first answer.
    fn run(&mut self) -> Result<(), String> {
        self.running = Some(self.spawn());
        let deadline = Instant::now() + START;
        // A server that cannot bind its port ends before it creates its socket, which no other
        // process creates. An answer there proves that it is this server, with its port.
        while !self.answers() {
            let why = match self.running.as_mut().and_then(Running::ended) {
                Some(status) => format!("ended with {status}"),
                None if Instant::now() > deadline => format!("no answer within {START:?}"),
                None => {
                    // Another process: it has no clock to pause and no event to await.
                    thread::sleep(Duration::from_millis(2));
                    continue;
                }
            };
            self.kill9();
            return Err(why);
        }
        Ok(())
    }

    /// Whether it serves commands. It answers LOADING while it reads its data; any other error is
    /// an answer.
    fn answers(&self) -> bool {
        match self.ask(&[b"PING"], Duration::from_secs(1)) {
            Ok(Err(refused)) => !refused.starts_with("LOADING"),
            Ok(Ok(_)) => true,
            Err(_) => false,
        }
    }

    fn spawn(&self) -> Running {
        let path = |name| self.folder.join(name).display().to_string();
        let (folder, socket, state) = (path(""), path("socket"), path("sentinel.conf"));
        let port = self.port.to_string();
        let mut all = vec!["--dir", &folder, "--unixsocket", &socket, "--bind", "127.0.0.1"];
        all.extend(["--port", &port, "--save", "", "--appendonly", "no"]);
        // Before 7.0, DEBUG was allowed and this setting did not exist.
        if self.redis_at_least(7, 0) {
            all.extend(["--enable-debug-command", "yes"]);
        }
        all.extend(self.builder.arguments.iter().map(String::as_str));
        all.splice(0..0, all.contains(&"--sentinel").then_some(state.as_str()));
        Running::spawn(&self.folder, &self.binary.launcher, &all)
    }

    fn signal(&self, name: &str) {
        // The shell's builtin `kill`: a small Debian has no such program.
        let script = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &script]).status().expect("sh runs");
        assert!(status.success(), "{script}: {status}");
    }

    fn report(&self, why: &str) -> String {
        let (label, port, log) = (self.label(), self.port, self.log());
        let tail =
            log.lines().rev().take(30).fold(String::new(), |tail, line| format!("{line}\n{tail}"));
        format!("{label} did not start on port {port}: {why}; its log ends:\n{tail}")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        // A folder that cannot be removed is not worth a second panic.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The server to be started, and its settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Builder {
    label: Option<String>,
    arguments: Vec<String>,
}

impl Builder {
    /// Uses this server, whatever `BOURN_SERVER` is.
    pub(crate) fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// Adds a word to the server's command line. Of two settings with one name the last one counts.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Calls [`Builder::arg`] for each: `.args(["--maxmemory", "10mb"])`.
    pub(crate) fn args<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Writes every change to disk before its reply, so that [`Server::restart`] restores
    /// acknowledged writes.
    pub(crate) fn append_only(self) -> Self {
        self.args(["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts the server and waits until it serves commands.
    pub(crate) fn start(self) -> Server {
        let binary = Binary::find(self.label.as_deref());
        let mut server =
            Server { builder: self, binary, folder: new_folder(), port: 0, running: None };
        // A sentinel writes its state to this file.
        fs::write(server.folder.join("sentinel.conf"), "").expect("it is new");
        for _ in 0..20 {
            server.port = free_port();
            let Err(why) = server.run() else { return server };
            // Another process may take the port between the check and the server's start.
            let taken = server.log().contains("Address already in use");
            assert!(taken, "{}", server.report(&why));
            fs::remove_file(server.log_path()).expect("the log can be removed");
        }
        panic!("20 free ports in a row were taken before the server could bind them");
    }

    /// Returns the argument after the last one of this name.
    fn value(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().rposition(|argument| argument == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

/// A server fetched by `scripts/servers`.
#[derive(Debug)]
struct Binary {
    label: String,
    launcher: PathBuf,
    valkey: bool,
    version: (u32, u32, u32),
}

impl Binary {
    fn find(label: Option<&str>) -> Self {
        let chosen = label.map(str::to_owned).or_else(|| env::var("BOURN_SERVER").ok());
        let label = chosen.unwrap_or_else(|| DEFAULT_LABEL.to_owned());
        let servers = env::var_os("BOURN_SERVERS").unwrap_or_else(|| ".servers".into());
        // Packages below the root of the repository use this file too.
        let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let root = folders.find(|folder| folder.join("scripts/servers").is_file());
        let servers = root.expect("this is the repository").join(servers);
        let launcher = servers.join(&label).join("server");
        assert!(
            launcher.exists(),
            "there is no {label} in {}: fetch it with `scripts/servers {label}`",
            servers.display()
        );
        let output = Command::new(&launcher).arg("--version").output().expect("the launcher runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(version) = parse_version(&text) else {
            panic!("{label} is broken: `{} --version` says {output:?}", launcher.display());
        };
        Self { label, valkey: text.starts_with("Valkey"), version, launcher }
    }
}

/// Parses the output of `--version`: `(7, 2, 4)` for `Redis server v=7.2.4 sha=00000000:0 …`.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// A server's process, and the watcher that kills it if this process ends. Both lead a process
/// group of their own: a Ctrl-C for this process reaches neither.
#[derive(Debug)]
struct Running {
    process: Child,
    watcher: Child,
}

impl Running {
    /// Prints its process id for the watcher, and becomes the server. So the watcher knows every
    /// server. `$1` is the log, the command follows.
    const RUN: &str = r#"echo $$; log=$1; shift; exec "$@" >>"$log" 2>&1"#;

    /// Kills the server with its children on `kill`, or when the pipe ends because this process
    /// ended. `$1` is the folder, which it removes only in the second case.
    const WATCH: &str = r#"pid=
while read -r line; do
    case $line in
        kill) kill -9 "-$pid"; exit ;;
        *) pid=$line ;;
    esac
done
[ -z "$pid" ] || kill -9 "-$pid"
rm -rf "$1" || { sleep 1; rm -rf "$1"; }"#;

    fn spawn(folder: &Path, launcher: &Path, arguments: &[&str]) -> Self {
        let mut watcher = shell(Self::WATCH);
        watcher.arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watcher = watcher.spawn().expect("sh runs");
        let pipe = watcher.stdin.as_ref().expect("it is piped").as_fd();
        let pipe = pipe.try_clone_to_owned().expect("a pipe can be shared");
        let mut process = shell(Self::RUN);
        process.arg(folder.join("log")).arg(launcher).args(arguments);
        process.stdin(Stdio::null()).stdout(pipe);
        Self { process: process.spawn().expect("sh runs"), watcher }
    }

    /// Returns how the process ended, if it ended by itself.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it is our child")
    }

    fn kill(mut self) {
        // A failure means that it has ended already, which is the goal.
        let _ = self.process.kill();
        if let Some(mut pipe) = self.watcher.stdin.take() {
            let _ = pipe.write_all(b"kill\n");
        }
        let _ = self.watcher.wait();
        let _ = self.process.wait();
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).process_group(0);
    shell
}

/// Creates a new folder.
fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("bourn-{}-{nth}", process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => return folder,
            // Left by an earlier process with the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", folder.display()),
        }
    }
}

/// Returns a free port that this process has not returned before: a killed server keeps its port.
///
/// The ports are below those that the kernel assigns to clients (32768 and up on Linux). A client
/// that reconnects while its server is down could be assigned the server's own port, and be
/// connected to itself.
pub(crate) fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Neighbouring test processes have neighbouring ids: the factor separates their ports.
    let first = process::id().wrapping_mul(97);
    for _ in PORTS {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = nth % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset).expect("it is less than the range is long");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free on 127.0.0.1");
}

/// A connection with the part of RESP2 that commands need.
struct Admin(BufReader<UnixStream>);

impl Admin {
    fn connect(path: &Path, limit: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Returns one command's reply. The inner error is the server's.
    fn ask(&mut self, words: &[&[u8]]) -> io::Result<Result<String, String>> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&request)?;

        let first = self.line()?;
        if let Some(refused) = first.strip_prefix('-') {
            return Ok(Err(refused.to_owned()));
        }
        let mut texts = Vec::new();
        let mut left = self.element(&first, &mut texts)?;
        while left > 0 {
            let line = self.line()?;
            left = left - 1 + self.element(&line, &mut texts)?;
        }
        Ok(Ok(texts.join("\n")))
    }

    /// Reads the value that `line` announces: a text, or the number of elements.
    fn element(&mut self, line: &str, texts: &mut Vec<String>) -> io::Result<usize> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("reply {line:?}"));
        let (kind, rest) = line.split_at_checked(1).ok_or_else(wrong)?;
        match (kind, rest) {
            ("+" | "-" | ":", text) => texts.push(text.to_owned()),
            ("$" | "*", "-1") => texts.push(String::new()),
            ("*", length) => return length.parse().map_err(|_| wrong()),
            ("$", length) => {
                let length: usize = length.parse().map_err(|_| wrong())?;
                let mut bytes = vec![0; length + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(length);
                texts.push(String::from_utf8_lossy(&bytes).into_owned());
            }
            _ => return Err(wrong()),
        }
        Ok(0)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(closed)
    }
}
