//! The connections of a slot: they go through a proxy of its own, so that what befalls them befalls nobody else.

use crate::both::Random;
use crate::log::Log;
use crate::proxy::{Proxy, Upstream};
use crate::schedule::{self, Plan, Way};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// How often is looked for connections that their plan has cut.
const LOOK: Duration = Duration::from_millis(25);

/// A slot's proxy. Copies are the same one.
#[derive(Clone)]
pub(crate) struct Wire {
    slot: u32,
    pub(crate) port: u16,
    proxy: Arc<Mutex<Proxy>>,
    log: Arc<Log>,
    /// The troubles are over.
    calm: Arc<AtomicBool>,
}

impl Wire {
    /// To the server at this port. What becomes of each connection is drawn by lot.
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

    /// Resets all connections, and takes no new ones for a while.
    pub(crate) async fn refuse(&self, time: Duration) {
        let mut proxy = self.proxy.lock().await;
        self.log.write(format_args!("refusing s{}", self.slot));
        proxy.refuse().await;
        proxy.reset();
        sleep(time).await;
        proxy.accept();
        self.log.write(format_args!("accepting s{}", self.slot));
    }

    /// Forwards nothing in one direction for a while.
    pub(crate) async fn stall(&self, way: Way, time: Duration) {
        let proxy = self.proxy.lock().await;
        self.log.write(format_args!("stalling s{}", self.slot));
        proxy.stall(way);
        sleep(time).await;
        proxy.go_on();
        self.log.write(format_args!("flowing s{}", self.slot));
    }

    /// Takes no new connections while this runs.
    pub(crate) async fn without<T>(&self, what: impl AsyncFnOnce() -> T) -> T {
        let mut proxy = self.proxy.lock().await;
        proxy.refuse().await;
        let result = what().await;
        proxy.accept();
        result
    }

    /// No connection is in trouble any more.
    pub(crate) async fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
        let proxy = self.proxy.lock().await;
        self.log.write(format_args!("reset s{}", self.slot));
        proxy.plan(|_| Plan::default());
        proxy.reset();
    }

    /// Writes down which connections their plan has cut.
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
