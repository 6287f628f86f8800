//! The server that the bench starts: on a free port and a Unix socket, in its own folder, removed
//! with the bench.

use crate::clients::raw::Control;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The address for a client: `redis://…` or `unix://…`, as text that `count` takes as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(u16),
    Unix(PathBuf),
}

impl Address {
    /// Returns the name used in the results.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Unix(_) => "unix",
        }
    }

    /// Returns the URL, with the client's scheme for a Unix socket.
    pub fn url(&self, unix_scheme: &str) -> String {
        match self {
            Self::Tcp(port) => format!("redis://127.0.0.1:{port}"),
            Self::Unix(path) => format!("{unix_scheme}://{}", path.display()),
        }
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(port) => Ok(Self::Tcp(port)),
            Err(_) if text.starts_with('/') => Ok(Self::Unix(text.into())),
            Err(_) => Err("a port, or the path of a Unix socket".to_owned()),
        }
    }
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    control: Control,
}

impl Server {
    /// Starts the server of this label from `.servers`, fetching it if it is missing.
    pub fn start(label: &str) -> io::Result<Self> {
        let binary = binary(label)?;
        let folder = tempfile::tempdir()?;
        // The port is released again: the server binds it a moment later.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new(binary)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .arg("--unixsocket")
            .arg(folder.path().join("socket"))
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()?;
        end_with(Pid::from_raw(child.id().try_into().expect("a process id")), folder.path());
        let deadline = Instant::now() + Duration::from_secs(10);
        let control = loop {
            if let Ok(mut control) = Control::connect(&Address::Tcp(port))
                && control.ask(&["PING"]).starts_with(b"+PONG")
            {
                break control;
            }
            if Instant::now() > deadline || child.try_wait()?.is_some() {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                let _ = child.kill();
                return Err(io::Error::other(format!("the server did not start:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Ok(Self { child, port, folder, control })
    }

    pub fn tcp(&self) -> Address {
        Address::Tcp(self.port)
    }

    pub fn unix(&self) -> Address {
        Address::Unix(self.folder.path().join("socket"))
    }

    /// Sends a command that is not measured.
    pub fn ask(&mut self, words: &[&str]) -> Vec<u8> {
        self.control.ask(words)
    }

    /// Sends many commands that are not measured, and discards their replies.
    pub fn ask_all<I: IntoIterator<Item = Vec<u8>>>(&mut self, commands: I) {
        self.control.ask_all(commands);
    }

    /// Deletes all data of the server.
    pub fn clear(&mut self) {
        self.ask(&["FLUSHALL", "SYNC"]);
    }

    /// Returns the CPU time of the server, user and system.
    pub fn cpu(&mut self) -> Duration {
        let info = String::from_utf8(self.ask(&["INFO", "cpu"])).expect("INFO is text");
        let seconds = |name: &str| -> f64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|number| number.trim().parse().ok()).expect("INFO has CPU times")
        };
        Duration::from_secs_f64(seconds("used_cpu_user") + seconds("used_cpu_sys"))
    }

    /// Returns the version that the server reports.
    pub fn version(&mut self) -> String {
        let info = String::from_utf8(self.ask(&["INFO", "server"])).expect("INFO is text");
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (_, Some(version)) => format!("Redis {version}"),
            _ => "a server that does not say its version".to_owned(),
        }
    }

    /// Pins the server's main thread to this core; to all of them with `None`.
    pub fn pin(&self, core: Option<usize>) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        pin(pid, core);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends the server when the bench is interrupted, because nothing is dropped then.
fn end_with(server: Pid, folder: &Path) {
    let folder = folder.to_owned();
    let end = move || {
        let _ = kill(server, Signal::SIGKILL);
        let _ = std::fs::remove_dir_all(&folder);
        std::process::exit(130);
    };
    ctrlc::set_handler(end).expect("no other signal handler");
}

/// Pins a thread to this one of the bench's cores; to all of them with `None`.
pub fn pin(thread: Pid, core: Option<usize>) {
    let all = cores();
    let mut set = CpuSet::new();
    for each in core.map_or(all, |core| std::slice::from_ref(&all[core % all.len()])) {
        set.set(*each).expect("a core of this machine");
    }
    sched_setaffinity(thread, &set).expect("threads of our own may be pinned");
}

/// Returns the cores that the bench was given when it started.
pub fn cores() -> &'static [usize] {
    static CORES: OnceLock<Vec<usize>> = OnceLock::new();
    CORES.get_or_init(|| {
        let set = sched_getaffinity(Pid::from_raw(0)).expect("every Linux has it");
        (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
    })
}

/// Returns the server's launcher, fetched by `scripts/servers` if it is missing.
fn binary(label: &str) -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("BOURN_SERVERS").map_or(root.join(".servers"), PathBuf::from);
    let binary = folder.join(label).join("server");
    if !binary.exists() {
        let status = Command::new(root.join("scripts/servers")).arg(label).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("scripts/servers {label} failed")));
        }
    }
    Ok(binary)
}

/// Returns the server's own benchmark program: next to the server, or in `PATH`.
pub fn benchmark(label: &str) -> Option<PathBuf> {
    let beside = binary(label).ok()?.parent()?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(beside).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join("redis-benchmark")).find(|program| program.exists())
}
