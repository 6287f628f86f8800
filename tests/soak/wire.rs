//! The connections of a slot, through its own proxy, so that faults affect no other slot.

use crate::both::Random;
use crate::log::Log;
use crate::proxy::{Proxy, Upstream};
use crate::schedule::{self, Plan, Way};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The interval of checks for connections that were cut by plan.
const LOOK: Duration = Duration::from_millis(25);

/// A slot's proxy. Clones share it.
#[derive(Clone)]
pub(crate) struct Wire {
    slot: u32,
    pub(crate) port: u16,
    proxy: Arc<Mutex<Proxy>>,
    log: Arc<Log>,
    /// The faults are over.
    calm: Arc<AtomicBool>,
}

impl Wire {
    /// Starts a proxy to the server at this port. The plan of each connection is random.
    pub(crate) async fn new(slot: u32, server: u16, seed: u64, log: Arc<Log>) -> Self {
        let proxy = Proxy::start(Upstream::Tcp(server)).await;
        let seed = Random::new(seed ^ u64::from(slot)).next();
        proxy.plan(move |nth| schedule::plan(seed, nth));
        let port = proxy.port();
        let wire =
            Self { slot, port, proxy: Arc::new(Mutex::new(proxy)), log, calm: Arc::default() };
        tokio::spawn(wire.clone().watch());
        wire
    }

    /// Resets all connections.
    pub(crate) async fn reset(&self) {
        let proxy = self.proxy.lock().await;
        self.log.write(format_args!("reset s{}", self.slot));
        proxy.reset();
    }

    /// Resets all connections, and refuses new ones for a time.
    pub(crate) async fn refuse(&self, time: Duration) {
        let mut proxy = self.proxy.lock().await;
        self.log.write(format_args!("refusing s{}", self.slot));
        proxy.refuse().await;
        proxy.reset();
        sleep(time).await;
        proxy.accept();
        self.log.write(format_args!("accepting s{}", self.slot));
    }

    /// Stalls one direction for a time.
    pub(crate) async fn stall(&self, way: Way, time: Duration) {
        let proxy = self.proxy.lock().await;
        self.log.write(format_args!("stalling s{}", self.slot));
        proxy.stall(way);
        sleep(time).await;
        proxy.go_on();
        self.log.write(format_args!("flowing s{}", self.slot));
    }

    /// Refuses new connections while this runs.
    pub(crate) async fn without<T>(&self, what: impl AsyncFnOnce() -> T) -> T {
        let mut proxy = self.proxy.lock().await;
        proxy.refuse().await;
        let result = what().await;
        proxy.accept();
        result
    }

    /// Ends all faults.
    pub(crate) async fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
        let proxy = self.proxy.lock().await;
        self.log.write(format_args!("reset s{}", self.slot));
        proxy.plan(|_| Plan::default());
        proxy.reset();
    }

    /// Logs the connections that were cut by plan.
    async fn watch(self) {
        let mut known = 0;
        while !self.calm.load(Ordering::Relaxed) {
            let cut = self.proxy.lock().await.seen().iter().filter(|seen| seen.cut).count();
            if cut > known {
                self.log.write(format_args!("cut s{}", self.slot));
            }
            known = cut;
            sleep(LOOK).await;
        }
    }
}
