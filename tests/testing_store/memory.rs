//! The same steps on the in-memory data.

use crate::compare::Wire;
use crate::testing::store::{Blocked, Context, Release, Reply, Run, Store};
use bytes::Bytes;

/// The data, and the read that waits.
#[derive(Debug)]
pub(crate) struct Memory {
    store: Store,
    resp3: bool,
    waiting: Option<Blocked>,
}

impl Memory {
    pub(crate) fn new(release: Release, node_entries: u64, resp3: bool) -> Self {
        let mut store = Store::new(release);
        store.set_node_max_entries(node_entries);
        Self { store, resp3, waiting: None }
    }

    /// Runs a request, and returns its reply. `None`: it waits.
    pub(crate) fn run(&mut self, now_ms: u64, request: &[Bytes]) -> Option<Wire> {
        match self.store.run(self.context(now_ms), request) {
            Run::Reply(reply) => Some(self.wire(&reply)),
            Run::Blocked(blocked) => {
                self.waiting = Some(blocked);
                None
            }
        }
    }

    /// Returns the reply to the read that waits, if one of its keys has become ready.
    pub(crate) fn resume(&mut self, now_ms: u64) -> Option<Wire> {
        let ready = self.store.take_ready();
        let blocked = self.waiting.take()?;
        let context = self.context(now_ms);
        let keys = ready.into_iter().filter(|(db, key)| *db == 0 && blocked.keys().contains(key));
        for (_, key) in keys {
            if let Some(reply) = self.store.resume(context, &blocked, &key) {
                return Some(self.wire(&reply));
            }
        }
        self.waiting = Some(blocked);
        None
    }

    pub(crate) fn stop_waiting(&mut self) {
        self.waiting = None;
    }

    fn context(&self, now_ms: u64) -> Context {
        Context { now_ms, db: 0, resp3: self.resp3 }
    }

    fn wire(&self, reply: &Reply) -> Wire {
        let mut bytes = Vec::new();
        reply.write(self.resp3, &mut bytes);
        let (wire, rest) = Wire::parse(&bytes).expect("a reply is complete");
        assert!(rest.is_empty(), "one reply");
        wire
    }
}
