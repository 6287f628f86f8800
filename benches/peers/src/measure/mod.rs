//! Times, CPU, allocations, and the placement of threads.

#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
pub mod alloc;

use crate::record::Values;
use crate::server::{Server, pin};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use std::future::Future;
use std::time::{Duration, Instant};

/// The cores of the client and the server, where they are pinned.
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// The tokio runtime of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// `current_thread`: client and server each have their own core.
    Ct,
    /// Two workers, which share all cores with the server.
    Mt,
}

impl Runtime {
    /// Returns the name used in the results.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::Mt => "mt",
        }
    }

    /// Runs a future to completion on a new thread and a new runtime, with the placement of this
    /// kind.
    pub fn run<T: Send>(self, server: &Server, what: impl Future<Output = T> + Send) -> T {
        self.place(server);
        on_thread(self == Self::Ct, || {
            let mut builder = match self {
                Self::Ct => tokio::runtime::Builder::new_current_thread(),
                Self::Mt => tokio::runtime::Builder::new_multi_thread(),
            };
            let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
            let result = runtime.block_on(what);
            runtime.shutdown_timeout(Duration::from_secs(1));
            result
        })
    }

    fn place(self, server: &Server) {
        server.pin((self == Self::Ct).then_some(SERVER));
    }
}

/// Runs a function on its own thread, optionally pinned to the client's core.
pub fn on_thread<T: Send>(pinned: bool, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            pin(Pid::from_raw(0), pinned.then_some(CLIENT));
            what()
        });
        thread.join().expect("the work does not panic")
    })
}

/// Runs blocking work next to a pinned server, as `Ct` runs a client.
pub fn blocking<T: Send>(server: &Server, what: impl FnOnce() -> T + Send) -> T {
    Runtime::Ct.place(server);
    on_thread(true, what)
}

/// Returns the CPU time of this process, user and system, all threads.
fn own_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every Linux has it");
    let time = |t: nix::sys::time::TimeVal| {
        Duration::new(t.tv_sec().unsigned_abs(), t.tv_usec().unsigned_abs() as u32 * 1000)
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// Measures until [`Meter::stop`].
pub struct Meter {
    begin: Instant,
    own: Duration,
}

/// The resources used while measuring.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub wall: Duration,
    pub client: Duration,
}

impl Meter {
    pub fn start() -> Self {
        let own = own_cpu();
        Self { begin: Instant::now(), own }
    }

    pub fn stop(self) -> Used {
        let wall = self.begin.elapsed();
        Used { wall, client: own_cpu() - self.own }
    }
}

impl Used {
    /// Adds the rate per second and the client CPU per operation, under these names.
    pub fn rates(&self, things: u64, values: &mut Values) {
        let n = things as f64;
        values.insert("per_s".into(), n / self.wall.as_secs_f64());
        values.insert("client_us".into(), self.client.as_secs_f64() * 1e6 / n);
    }
}

/// Adds p50, p99 and p99.9 in µs, exact, from all samples in ns.
pub fn latencies(mut samples: Vec<u32>, values: &mut Values) {
    samples.sort_unstable();
    let Some(last) = samples.len().checked_sub(1) else { return };
    for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
        let at = (last as f64 * share).round() as usize;
        values.insert(name.into(), f64::from(samples[at]) / 1000.0);
    }
}

/// Returns nanoseconds, for a list of samples.
pub fn ns(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}
