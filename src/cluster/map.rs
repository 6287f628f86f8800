//! The nodes of a cluster, the table of slots, and the way of requests.
//!
//! Nodes are only added, so a request can borrow its connection without a lock. A node that left
//! keeps its place and is not dialled any more; it is used again when its address comes back.

use super::node::{Common, Node};
use super::redirect::{Step, Target, decide};
use super::refresh::Refresh;
use super::table::{Redirects, Table};
use super::topology::{Host, NOBODY, Topology};
use crate::config::{ClusterSettings, Config};
use crate::connection::{Connection, Dialler, Event, Hook, Hop, Patience, Publisher, Route, Sends};
use crate::connection::{Shared, runtime};
use crate::error::{ConfigError, Disconnect, ServerError};
use crate::random;
use crate::server::Server;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// The greatest number of addresses that a client has known.
const MOST_NODES: usize = 1_024;

/// A node without slots is not connected any more after one to two of these times.
const IDLE: Duration = Duration::from_secs(60);

pub(crate) struct Map {
    pub(super) me: Weak<Self>,
    pub(super) common: Common,
    pub(super) settings: ClusterSettings,
    first: Node,
    /// The others.
    nodes: Box<[OnceLock<Box<Node>>]>,
    pub(super) table: Table,
    /// The node of commands without a key.
    home: AtomicUsize,
    state: Mutex<State>,
    /// Wakes the task that reads the map.
    pub(super) wake: Notify,
    pub(super) publisher: Publisher,
    /// The server of the cluster that this one was copied from.
    pub(super) like: Option<Arc<Server>>,
    /// Whether the map was read.
    pub(super) viewed: watch::Sender<bool>,
    pub(super) closing: AtomicBool,
}

#[derive(Debug)]
pub(super) struct State {
    places: HashMap<Host, usize>,
    /// The replicas of each master, as the last view has them.
    pub(super) replicas: HashMap<usize, Vec<usize>>,
    refresh: Refresh,
    redirects: Redirects,
    /// The node that was named by the last redirect: it knows the map.
    hint: Option<usize>,
    /// The last time that idle nodes were looked for.
    swept: Instant,
    /// Masters, replicas and slots without a node, as reported last.
    reported: Option<(usize, usize, usize)>,
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Map {
    /// Creates the map with the nodes of the settings, which are not connected yet.
    pub(super) fn new(
        config: Arc<Config>,
        settings: ClusterSettings,
        dialler: Dialler,
        patience: Patience,
        from: Option<&Self>,
    ) -> Result<Arc<Self>, ConfigError> {
        let runtime = runtime(&config)?;
        let sends = Sends::together(config.idmp_iids, config.idmp_duration);
        let publisher = Publisher::new(&config, None);
        let refresh = Refresh::new(settings.refresh_every, now());
        let common = Common { config, dialler, patience, runtime, sends };
        let known = from.into_iter().flat_map(Self::known).map(|node| node.host.clone());
        let seed = |(name, port): &(String, u16)| Host { name: name.clone(), port: *port };
        let seeds = settings.seeds.iter().map(seed);
        let mut hosts: Vec<_> = known.chain(seeds).collect();
        if hosts.is_empty() {
            return Err(ConfigError::Host);
        }
        let first = hosts.remove(0);
        let map = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            first: common.node(first.clone(), hook(me, 0)),
            common,
            settings,
            nodes: (1..MOST_NODES).map(|_| OnceLock::new()).collect(),
            table: from.map_or_else(Table::new, |from| from.table.copy()),
            home: AtomicUsize::new(from.map_or(0, |from| from.home.load(Relaxed))),
            state: Mutex::new(State {
                places: HashMap::from([(first, 0)]),
                replicas: HashMap::new(),
                refresh,
                redirects: Redirects::default(),
                hint: None,
                swept: now(),
                reported: None,
            }),
            wake: Notify::new(),
            publisher,
            like: from.and_then(Self::server),
            viewed: watch::Sender::new(false),
            closing: AtomicBool::new(false),
        });
        for host in &hosts {
            map.node_at(host);
        }
        if let Some(from) = from.filter(|from| *from.viewed.borrow()) {
            map.count(Some(from));
            map.state().refresh.done(now(), true, random::fraction());
        }
        Ok(map)
    }

    /// Returns the server of any node.
    pub(super) fn server(&self) -> Option<Arc<Server>> {
        let server = self.known().find_map(|node| node.shared().server());
        server.or_else(|| self.like.clone())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the node at a place.
    #[inline]
    pub(super) fn node(&self, place: usize) -> Option<&Node> {
        match place.checked_sub(1) {
            None => Some(&self.first),
            Some(place) => self.nodes.get(place)?.get().map(|node| &**node),
        }
    }

    /// Returns all nodes that were ever named.
    pub(super) fn known(&self) -> impl Iterator<Item = &Node> {
        let others = self.nodes.iter().map_while(OnceLock::get).map(|node| &**node);
        std::iter::once(&self.first).chain(others)
    }

    /// Returns the place of the node with this address. A new one is added; `None` if there are too
    /// many.
    pub(super) fn node_at(&self, host: &Host) -> Option<usize> {
        let mut state = self.state();
        if let Some(place) = state.places.get(host) {
            return Some(*place);
        }
        let place = state.places.len();
        let empty = self.nodes.get(place.checked_sub(1)?)?;
        let node = self.common.node(host.clone(), hook(&self.me, place));
        empty.set(Box::new(node)).ok()?;
        state.places.insert(host.clone(), place);
        Some(place)
    }

    /// Returns the node for commands without a key: the same one while it is connected.
    pub(super) fn home(&self) -> &Node {
        let home = self.home.load(Relaxed);
        match self.node(home) {
            Some(node) if !node.is_down.load(Relaxed) => node,
            node => self.another_home(node),
        }
    }

    #[cold]
    fn another_home<'a>(&'a self, home: Option<&'a Node>) -> &'a Node {
        let up = |node: &Node| !node.is_down.load(Relaxed);
        let master = self.known().position(|node| node.is_master() && up(node));
        let place = master.or_else(|| self.known().position(up));
        if let Some(place) = place {
            self.home.store(place, Relaxed);
        }
        place.and_then(|place| self.node(place)).or(home).unwrap_or(&self.first)
    }

    /// Asks for a new view soon.
    pub(super) fn want(&self) {
        if self.state().refresh.want(now(), random::fraction()) {
            self.wake.notify_one();
        }
    }

    /// Returns the time of the next view.
    pub(super) fn next_view(&self) -> Instant {
        self.state().refresh.next()
    }

    /// Records that the map is being read, and returns the node to ask first.
    pub(super) fn begin_view(&self) -> Option<usize> {
        let mut state = self.state();
        state.refresh.begun();
        state.hint.take()
    }

    /// Records the end of a read without a view.
    pub(super) fn no_view(&self) {
        self.state().refresh.done(now(), false, random::fraction());
        self.want();
    }

    /// Handles an event of a node's connection.
    fn happened(&self, place: usize, event: &Event) {
        let Some(node) = self.node(place) else { return };
        if let Some(down) = is_down(event) {
            node.is_down.store(down, Relaxed);
        }
        if node.is_missing() {
            self.want();
        }
        self.publish(node, event);
    }

    /// Passes an event of a node's connection on.
    pub(super) fn publish(&self, node: &Node, event: &Event) {
        let (address, event) = (Arc::clone(&node.name), Box::new(event.clone()));
        self.publisher.emit(Event::Node { address, event });
    }

    /// Takes over a view.
    pub(super) fn apply(&self, view: &Topology) {
        let place = |host| self.node_at(host).and_then(|place| u16::try_from(place).ok());
        let places: Vec<_> = view.nodes.iter().map(|host| place(host).unwrap_or(NOBODY)).collect();
        let owner = |owner: &u16| places.get(usize::from(*owner)).copied().unwrap_or(NOBODY);
        let behind = view
            .replicas
            .iter()
            .map(|replicas| replicas.iter().map(|replica| usize::from(owner(replica))).collect());
        let replicas = places.iter().map(|master| usize::from(*master)).zip(behind).collect();
        let moved = {
            let mut state = self.state();
            state.replicas = replicas;
            self.table.apply(view.owners.iter().map(owner), &mut state.redirects, now())
        };
        for (place, node) in self.known().enumerate() {
            let listed = places.iter().position(|listed| usize::from(*listed) == place);
            let is_master = listed.and_then(|listed| view.is_master.get(listed));
            node.is_listed.store(listed.is_some(), Relaxed);
            node.is_replica.store(is_master.is_some_and(|is_master| !is_master), Relaxed);
        }
        let (masters, unowned) = self.count(None);
        let replicas = view.is_master.iter().filter(|is_master| !**is_master).count();
        self.report(masters, replicas, moved, unowned);
        let is_known = self.node(self.home.load(Relaxed)).is_some_and(Node::is_master);
        if !is_known {
            if let Some(home) = self.known().position(Node::is_master) {
                self.home.store(home, Relaxed);
            }
        }
        self.sweep();
        self.state().refresh.done(now(), moved > 0, random::fraction());
        if self.known().any(Node::is_missing) {
            self.want();
        }
    }

    /// Counts the slots of each node. Requests that wait for a node which lost slots look for
    /// another one. Returns the number of masters, and of slots without a node.
    fn count(&self, from: Option<&Self>) -> (usize, usize) {
        let known = self.known().count();
        let (counts, unowned) = self.table.counts(known);
        for (node, slots) in self.known().zip(&counts) {
            let before = node.slots.swap(*slots, Relaxed);
            let is_down = node.is_down.load(Relaxed);
            if *slots < before && (*slots == 0 || is_down) || *slots == 0 && is_down {
                node.shared().evict();
            }
        }
        if let Some(from) = from {
            for (node, like) in self.known().zip(from.known()) {
                node.is_replica.store(like.is_replica.load(Relaxed), Relaxed);
                node.is_listed.store(like.is_listed.load(Relaxed), Relaxed);
            }
            self.viewed.send_replace(true);
        }
        (counts.iter().filter(|slots| **slots > 0).count(), unowned)
    }

    /// Reports a view that differs from the one before.
    fn report(&self, masters: usize, replicas: usize, slots_moved: usize, unowned: usize) {
        let reported = Some((masters, replicas, unowned));
        let differs = std::mem::replace(&mut self.state().reported, reported) != reported;
        if !self.viewed.send_replace(true) {
            let server = self.server();
            self.publisher.emit(Event::Connected { server });
        }
        if differs || slots_moved > 0 {
            self.publisher.emit(Event::Topology { masters, replicas, slots_moved, unowned });
        }
    }

    /// Closes the connections of nodes without slots that nothing was sent to for a while.
    fn sweep(&self) {
        let now = now();
        let mut state = self.state();
        if now.saturating_duration_since(state.swept) < IDLE {
            return;
        }
        state.swept = now;
        drop(state);
        self.known().for_each(Node::sweep_reading);
        for node in self.known().filter(|node| !node.is_master()) {
            let is_idle = node.shared().requests() == 0;
            if is_idle && node.is_idle.swap(true, Relaxed) {
                node.shared().park();
            } else if !is_idle {
                node.is_idle.store(false, Relaxed);
            }
        }
    }

    /// Returns the node with this connection.
    pub(super) fn node_of(&self, shared: &Shared) -> Option<(usize, &Node)> {
        let is_of = |node: &Node| {
            node.connections().any(|connection| std::ptr::eq(&**connection.shared(), shared))
        };
        self.known().enumerate().find(|(_, node)| is_of(node))
    }

    /// Returns the only node of the last view with this port.
    fn node_with_port(&self, port: u16) -> Option<usize> {
        let listed = |node: &Node| node.is_listed.load(Relaxed) && node.host.port == port;
        let mut found = self.known().enumerate().filter(|(_, node)| listed(node));
        let (place, _) = found.next()?;
        found.next().is_none().then_some(place)
    }

    /// Returns the attempt at a node that another one named, and records the redirect.
    fn hop(&self, asked: Option<usize>, place: usize, target: &Target) -> Option<Hop<'_>> {
        let node = self.node(place)?;
        let Target { slot, asking, after } = *target;
        node.is_idle.store(false, Relaxed);
        if let (Some(slot), false) = (slot, asking) {
            let mut state = self.state();
            let owner = u16::try_from(place).unwrap_or(NOBODY);
            if self.table.redirect(slot, owner, &mut state.redirects, now()) {
                state.hint = Some(place);
                drop(state);
                self.want();
            }
        }
        if Some(place) == asked {
            // Another machine has its name now: it is resolved again.
            node.shared().retire();
            self.want();
            return Some(Hop { to: None, asking: false, after: after.max(PAUSE), slot });
        }
        Some(Hop { to: Some(node.shared()), asking, after, slot })
    }

    /// Returns the connection for these keys, to be kept by the caller.
    pub(crate) fn connection_of(&self, slot: Option<u16>) -> &Arc<Shared> {
        let owner = slot.and_then(|slot| self.table.get(slot)).and_then(|place| self.node(place));
        owner.unwrap_or_else(|| self.home()).shared()
    }

    /// Returns the connection that a refused request of a reader is sent to next.
    pub(crate) fn redirected(&self, by: &Shared, error: &ServerError, hops: u8) -> Option<Way> {
        let hop = self.refused(by, error, hops)?;
        let to = hop.to.and_then(|to| self.node_of(to)).map(|(_, node)| Arc::clone(node.shared()));
        Some(Way { to, asking: hop.asking, after: hop.after })
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.known().flat_map(Node::connections)
    }
}

/// The next attempt of a reader's request.
#[derive(Debug)]
pub(crate) struct Way {
    /// The connection; `None` for that of the slot.
    pub(crate) to: Option<Arc<Shared>>,
    pub(crate) asking: bool,
    pub(crate) after: Duration,
}

/// The pause when a node has to be found again.
const PAUSE: Duration = Duration::from_millis(20);

impl Route for Map {
    #[inline]
    fn connection(&self, slot: Option<u16>) -> &Shared {
        self.connection_of(slot)
    }

    fn replica(&self, slot: Option<u16>) -> Option<&Shared> {
        self.replica_of(slot)
    }

    fn read(&self, by: &Shared, time: Duration) {
        self.measured(by, time);
    }

    fn refused(&self, by: &Shared, error: &ServerError, hops: u8) -> Option<Hop<'_>> {
        let (asked, node) = self.node_of(by)?;
        // The connection for reads is another one than that which a redirect leads to.
        let asked = std::ptr::eq(&**node.shared(), by).then_some(asked);
        match decide(error, &node.host, hops, self.settings.map_address.as_ref()) {
            Step::To(target, host) => {
                let place = self.node_at(&host)?;
                self.hop(asked, place, &target)
            }
            Step::Port(target, port) => match self.node_with_port(port) {
                Some(place) => self.hop(asked, place, &target),
                None => {
                    self.want();
                    let Target { slot, after, .. } = target;
                    Some(Hop { to: None, asking: false, after: after.max(PAUSE), slot })
                }
            },
            Step::Refresh => {
                self.want();
                None
            }
            Step::Stop => None,
        }
    }

    fn failed(&self) {
        self.want();
    }
}

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.known().map(|node| &node.name)).finish()
    }
}

/// Whether an event says that a connection is there, or that it is not; `None` for other events.
pub(super) fn is_down(event: &Event) -> Option<bool> {
    match event {
        Event::Connected { .. } => Some(false),
        Event::Disconnected { reason: Disconnect::Closed | Disconnect::Unused } => None,
        Event::Disconnected { .. }
        | Event::ConnectFailed { .. }
        | Event::CredentialsRejected { .. } => Some(true),
        _ => None,
    }
}

/// Returns the function that is called with the events of the node at this place.
fn hook(map: &Weak<Map>, place: usize) -> Hook {
    let map = Weak::clone(map);
    Hook(Box::new(move |event| {
        if let Some(map) = map.upgrade() {
            map.happened(place, event);
        }
    }))
}
