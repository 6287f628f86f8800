//! A slot, which has one worker process at a time. When it ends, another one is started.

use crate::defects::Defect;
use crate::job::LEASE;
use crate::log::Log;
use crate::worker;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// The limit for a worker to leave after SIGTERM.
const LEAVES: Duration = Duration::from_secs(10);

/// The delay before the next worker after a failed one.
const AGAIN: Duration = Duration::from_secs(1);

/// An action on the worker of a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// SIGKILL.
    Kill,
    /// SIGSTOP for two leases, then SIGCONT.
    Halt,
    /// SIGTERM.
    Leave,
}

/// Starts workers.
#[derive(Debug)]
pub(crate) struct Starter {
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    pub(crate) log: Arc<Log>,
    pub(crate) defect: Option<Defect>,
    pub(crate) next: AtomicU32,
}

/// A slot and its queue of orders.
pub(crate) struct Slot {
    orders: mpsc::Sender<Order>,
    serving: JoinHandle<()>,
}

impl Starter {
    /// Starts a worker that reaches the server at this port. It is this program with other
    /// settings; it ends when its standard input closes, which the conductor holds.
    fn start(&self, slot: u32, port: u16) -> Running {
        let name = format!("w{}", self.next.fetch_add(1, Ordering::Relaxed));
        let says = fs::File::create(self.folder.join(format!("{name}.says"))).expect("a file");
        let errors = says.try_clone().expect("it is a file");
        let mut command = Command::new(env::current_exe().expect("we are a file"));
        command
            .args(["--exact", worker::TEST, "--nocapture"])
            .env(worker::NAME, &name)
            .env(worker::FOLDER, &self.folder)
            .env(worker::SEED, self.seed.to_string())
            .env(worker::PORT, port.to_string())
            .env(worker::SLOT, slot.to_string())
            // A process group without a parent is not left halted.
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(says)
            .stderr(errors);
        if let Some(defect) = self.defect {
            command.env(Defect::NAME, format!("{defect:?}"));
        }
        self.log.write(format_args!("spawned {name} s{slot}"));
        let mut process = command.spawn().expect("we can be started again");
        // `wait` would close its standard input.
        let _input = process.stdin.take();
        Running { process, name, _input }
    }
}

impl Slot {
    pub(crate) fn new(slot: u32, port: u16, starter: Arc<Starter>) -> Self {
        let (orders, receiver) = mpsc::channel(16);
        Self { orders, serving: tokio::spawn(serve(slot, port, starter, receiver)) }
    }

    /// Queues an order; `false` if the queue is full.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Waits until all orders are carried out and the worker has left.
    pub(crate) async fn close(self) {
        drop(self.orders);
        self.serving.await.expect("a slot does not fail");
    }
}

struct Running {
    process: Child,
    name: String,
    _input: Option<ChildStdin>,
}

async fn serve(slot: u32, port: u16, starter: Arc<Starter>, mut orders: mpsc::Receiver<Order>) {
    let log = &starter.log;
    let mut open = true;
    while open {
        let mut worker = starter.start(slot, port);
        let mut leaves = None;
        loop {
            let order = tokio::select! {
                status = worker.process.wait() => {
                    let status = status.expect("it is our child");
                    log.write(format_args!("ended {} {}", worker.name, how(status)));
                    if status.code().is_some_and(|code| code != 0) {
                        // An immediate restart would fail, too.
                        sleep(AGAIN).await;
                    }
                    break;
                }
                () = sleep_until(leaves.unwrap_or_else(Instant::now)), if leaves.is_some() => {
                    log.write(format_args!("stayed {}", worker.name));
                    leaves = None;
                    Order::Kill
                }
                order = orders.recv(), if open && leaves.is_none() => {
                    open = order.is_some();
                    order.unwrap_or(Order::Leave)
                }
            };
            match order {
                Order::Kill => {
                    log.write(format_args!("killing {}", worker.name));
                    worker.process.start_kill().expect("it is our child");
                }
                Order::Halt => {
                    log.write(format_args!("halting {}", worker.name));
                    worker.signal("STOP").await;
                    sleep(2 * LEASE).await;
                    worker.signal("CONT").await;
                    log.write(format_args!("continued {}", worker.name));
                }
                Order::Leave => {
                    log.write(format_args!("stopping {}", worker.name));
                    worker.signal("TERM").await;
                    leaves = Some(Instant::now() + LEAVES);
                }
            }
        }
    }
}

impl Running {
    async fn signal(&self, name: &str) {
        // `None` once it has ended: its number may be reused.
        let Some(id) = self.process.id() else { return };
        // The shell's own `kill`: a minimal Debian has no such program.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("kill -{name} {id}")]).stderr(Stdio::null());
        // The process may be ending.
        let _ = shell.status().await.expect("sh runs");
    }
}

/// Formats an exit status: `code 0`, `signal 9`.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "somehow".to_owned(),
    }
}
