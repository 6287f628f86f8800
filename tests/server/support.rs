//! A real server for one test: on a loopback port and a Unix socket of its own, gone with it.
//!
//! Which one is the test's choice ([`Builder::label`]), else that of `BOURN_SERVER`, else
//! `valkey-9.1`. `scripts/servers` fetches them into `.servers`, or where `BOURN_SERVERS` says.
//! Whatever fails in here panics, and so does asking for a server that was not fetched.
//!
//! | When | What becomes of the process and its folder |
//! |---|---|
//! | [`Server::kill9`] | killed; the folder is kept for [`Server::restart`] |
//! | the [`Server`] is dropped, by a panic too | killed and removed |
//! | the test process dies, even of SIGKILL | killed and removed by the watcher, a shell |

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

/// How long a server may take to its first answer. Some 10 ms is usual, on a busy machine far more.
const START: Duration = Duration::from_secs(30);

/// How long a command's reply is waited for.
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
    /// An empty server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    /// A server with other settings, started by [`Builder::start`].
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Kills the server (SIGKILL) and waits until it is gone. Killing it twice does nothing more.
    pub(crate) fn kill9(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts the server again, with the same folder and port. One that still runs is killed first.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        self.run().unwrap_or_else(|why| panic!("{}", self.report(&why)));
    }

    /// Halts the process (SIGSTOP): the kernel still accepts connections, and nobody answers.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a halted process go on (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// `redis://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `redis+unix:///path/of/the/socket`.
    pub(crate) fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket_path().display())
    }

    /// The TCP port on 127.0.0.1, the same after a restart.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The path of the Unix socket, the same after a restart.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// The name that `scripts/servers` knows it by, such as `redis-7.2`.
    pub(crate) fn label(&self) -> &str {
        &self.binary.label
    }

    /// Whether it is Valkey rather than Redis.
    pub(crate) fn is_valkey(&self) -> bool {
        self.binary.valkey
    }

    /// The version that the binary says it is, which of a Valkey is Valkey's own.
    pub(crate) fn version(&self) -> (u32, u32, u32) {
        self.binary.version
    }

    /// Short for [`Server::redis_at_least`].
    pub(crate) fn at_least(&self, major: u32, minor: u32) -> bool {
        self.redis_at_least(major, minor)
    }

    /// Whether it has what came with Redis `major.minor`: of a Valkey, no later one than 7.2.
    pub(crate) fn redis_at_least(&self, major: u32, minor: u32) -> bool {
        let (own_major, own_minor, _) = self.version();
        (major, minor) <= if self.is_valkey() { (7, 2) } else { (own_major, own_minor) }
    }

    /// Whether it is Valkey `major.minor` or later. Redis never is.
    pub(crate) fn valkey_at_least(&self, major: u32, minor: u32) -> bool {
        let (own_major, own_minor, _) = self.version();
        self.is_valkey() && (major, minor) <= (own_major, own_minor)
    }

    /// The process id of the running server, another one after a restart.
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server was killed").process.id()
    }

    /// What the server has logged, before restarts too.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// [`Server::try_command`], for a command that has to work.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap_or_else(|why| panic!("{words:?}: {why}"))
    }

    /// [`Server::command`], for arguments that are not text.
    pub(crate) fn command_bytes(&self, words: &[&[u8]]) -> String {
        self.ask(words, REPLY)
            .unwrap_or_else(|error| Err(error.to_string()))
            .unwrap_or_else(|why| panic!("{}: {why}", words.join(&b' ').escape_ascii()))
    }

    /// Runs a command on a connection of its own, over the Unix socket, logged in if
    /// `--requirepass` was given.
    ///
    /// Strings are returned as they are (invalid UTF-8 replaced), integers in decimal, null as
    /// nothing, and arrays as their elements, one a line and nested ones flattened.
    ///
    /// # Errors
    ///
    /// The server's error (`CODE text`), or why no reply came.
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
        // A server that cannot have its port ends before it makes its socket, and nobody else makes
        // that one: who answers there is this server, and has its port.
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

    /// Whether it serves commands. It says LOADING while it reads what it had kept; any other error
    /// is an answer.
    fn answers(&self) -> bool {
        match self.ask(&[b"PING"], Duration::from_secs(1)) {
            Ok(Err(refused)) => !refused.starts_with("LOADING"),
            Ok(Ok(_)) => true,
            Err(_) => false,
        }
    }

    fn spawn(&self) -> Running {
        let (folder, socket) = (self.folder.display().to_string(), self.socket_path());
        let (socket, port) = (socket.display().to_string(), self.port.to_string());
        let mut all = vec!["--dir", &folder, "--unixsocket", &socket, "--bind", "127.0.0.1"];
        all.extend(["--port", &port, "--save", "", "--appendonly", "no"]);
        // Before 7.0 DEBUG was allowed, and there was no such setting.
        if self.redis_at_least(7, 0) {
            all.extend(["--enable-debug-command", "yes"]);
        }
        all.extend(self.builder.arguments.iter().map(String::as_str));
        Running::spawn(&self.folder, &self.binary.launcher, &all)
    }

    fn signal(&self, name: &str) {
        // The shell's own `kill`: a small Debian has no program of that name.
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
        // A folder that stays is not worth a second panic.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Which server is to be started, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Builder {
    label: Option<String>,
    arguments: Vec<String>,
}

impl Builder {
    /// This server and no other, whatever `BOURN_SERVER` says.
    pub(crate) fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// One more word for the server's command line, where the last of two settings of one name
    /// counts.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// [`Builder::arg`] for each: `.args(["--maxmemory", "10mb"])`.
    pub(crate) fn args<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Every write is on disk before its reply, so [`Server::restart`] finds what was acknowledged.
    pub(crate) fn append_only(self) -> Self {
        self.args(["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts the server and waits until it serves commands.
    pub(crate) fn start(self) -> Server {
        let binary = Binary::find(self.label.as_deref());
        let folder = new_folder();
        let mut server = Server { builder: self, binary, folder, port: 0, running: None };
        for _ in 0..20 {
            server.port = free_port();
            let Err(why) = server.run() else { return server };
            // Somebody else may take the port between our look at it and the server's.
            let taken = server.log().contains("Address already in use");
            assert!(taken, "{}", server.report(&why));
            fs::remove_file(server.log_path()).expect("the log can be removed");
        }
        panic!("20 ports that were free were not when the server wanted them");
    }

    /// The argument after the last one of this name.
    fn value(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().rposition(|argument| argument == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

/// A server that `scripts/servers` fetched.
#[derive(Debug)]
struct Binary {
    label: String,
    launcher: PathBuf,
    valkey: bool,
    version: (u32, u32, u32),
}

impl Binary {
    fn find(label: Option<&str>) -> Self {
        let asked = label.map(str::to_owned).or_else(|| env::var("BOURN_SERVER").ok());
        let label = asked.unwrap_or_else(|| DEFAULT_LABEL.to_owned());
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
        let said = String::from_utf8_lossy(&output.stdout);
        let Some(version) = parse_version(&said) else {
            panic!("{label} is broken: `{} --version` says {output:?}", launcher.display());
        };
        Self { label, valkey: said.starts_with("Valkey"), version, launcher }
    }
}

/// `(7, 2, 4)` of `Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64 build=d2c8a4b91e8d0e6b`.
fn parse_version(said: &str) -> Option<(u32, u32, u32)> {
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// A server's process, and the watcher that would outlive us to kill it. Both are leaders of a
/// process group: a Ctrl-C meant for us reaches neither.
#[derive(Debug)]
struct Running {
    process: Child,
    watcher: Child,
}

impl Running {
    /// Says its process id, which goes to the watcher, and becomes the server: there is no server
    /// that the watcher has not heard of. `$1` is the log, what follows the command.
    const RUN: &str = r#"echo $$; log=$1; shift; exec "$@" >>"$log" 2>&1"#;

    /// Kills the server with all its children when it is told `kill`, or when the pipe ends because
    /// we are dead. `$1` is the folder, which only the dead leave to it.
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

    /// How the process ended, if it did by itself.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it is our child")
    }

    fn kill(mut self) {
        // A failure here means that it is dead already, which is what is wanted.
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

/// A folder that was not there before.
fn new_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("bourn-{}-{nth}", process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => return folder,
            // Left by an earlier process that had our id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("{}: {error}", folder.display()),
        }
    }
}

/// A port that nobody has, and that this process has not given out before: a killed server's port
/// is still its own.
///
/// The ports are below those that the kernel gives to clients (32768 and up on Linux). A client
/// that tries again and again while its server is down may be given the server's own port there,
/// and then be connected to itself.
pub(crate) fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes side by side have ids side by side: the factor keeps their ports apart.
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

/// A connection that speaks just enough RESP2 to give orders.
struct Admin(BufReader<UnixStream>);

impl Admin {
    fn connect(path: &Path, limit: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// One command's reply; the inner error is the server's.
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

    /// Reads what `line` announces: a text, or how many elements come next.
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
