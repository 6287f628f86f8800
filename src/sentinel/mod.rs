//! Sentinels: who is the master, and when that changes.
//!
//! | module | purpose |
//! |---|---|
//! | `answers` | the replies to questions |
//! | `messages` | the meaning of messages |
//! | `asked` | one sentinel, and the questions to it |
//! | `listen` | the task that listens to one sentinel, and asks it now and then |
//!
//! [`Watch`] finds the address for each attempt to connect: all sentinels are asked, and the answer
//! with the latest failover holds. It also listens to all of them. When they name another master, the
//! connections to the old one are left at once, because that one acknowledges writes for seconds
//! which are then lost. From the moment at which a failover has selected the new master, nothing is
//! written until it is named.

mod answers;
mod asked;
mod listen;
mod messages;

use crate::config::{BoxFuture, Config, SentinelSettings};
use crate::connection::{
    Connection, Dialler, Event, Hook, Host, Patience, Resolve, Sends, Shared, runtime,
};
use crate::error::{ConfigError, ConnectReason, Disconnect, Error};
use answers::Answer;
use asked::{ASKING, Sentinel};
use listen::Listener;
use messages::Meaning;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// After a majority has answered, the others have this long.
const REST: Duration = Duration::from_millis(100);

/// Writes are held for this long at most.
const HOLD: Duration = Duration::from_secs(3);

/// The old master may send outstanding replies for this long.
const LEAVE: Duration = Duration::from_millis(200);

/// An announced master counts for this long, whatever sentinels answer: some learn of it later.
const ANNOUNCED: Duration = Duration::from_secs(5);

/// The greatest number of sentinels that are asked.
const MOST: usize = 64;

/// The master of a name, according to its sentinels.
#[derive(Debug)]
pub(crate) struct Watch {
    me: Weak<Self>,
    settings: SentinelSettings,
    config: Arc<Config>,
    dialler: Dialler,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sentinels: Vec<Arc<Sentinel>>,
    /// The connections to the master.
    joined: Vec<Weak<Shared>>,
    /// The master that a message named, and when.
    announced: Option<(Host, Instant)>,
    /// The greatest number of a failover that was seen.
    epoch: u64,
    /// The time from which writes are held.
    held: Option<Instant>,
    tasks: Vec<AbortHandle>,
}

impl Watch {
    /// Creates the watch of the settings. It begins with the first connection to the master.
    pub(crate) fn new(
        config: &Arc<Config>,
        settings: &SentinelSettings,
        dialler: &Dialler,
    ) -> Result<Arc<Self>, ConfigError> {
        let runtime = runtime(config)?;
        let watch = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            settings: settings.clone(),
            config: Arc::clone(config),
            dialler: dialler.clone(),
            runtime,
            state: Mutex::default(),
        });
        for host in &settings.sentinels {
            watch.add(host.clone());
        }
        Ok(watch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a sentinel, unless it is known. Returns whether it is new.
    fn add(&self, host: Host) -> bool {
        let mut state = self.state();
        let is_known = state.sentinels.iter().any(|sentinel| sentinel.host == host);
        if is_known || state.sentinels.len() >= MOST {
            return false;
        }
        let config = Arc::new(self.config.of_sentinel(&self.settings, &host.0, host.1));
        let sends = Sends::new(config.idmp_iids, config.idmp_duration);
        let connection = Connection::parked(
            Arc::clone(&config),
            self.dialler.for_node(),
            Patience::Usual,
            &self.runtime,
            (sends, Hook(Box::new(|_| {}))),
        );
        state.sentinels.push(Arc::new(Sentinel { host, config, connection }));
        true
    }

    /// Returns the connections to the master that are open.
    fn joined_now(&self) -> Vec<Arc<Shared>> {
        let mut state = self.state();
        state.joined.retain(|shared| shared.upgrade().is_some_and(|shared| !shared.is_ended()));
        state.joined.iter().filter_map(Weak::upgrade).collect()
    }

    /// Spawns the tasks that listen, one for each sentinel, unless they run.
    fn listen(&self) {
        let mut state = self.state();
        state.tasks.retain(|task| !task.is_finished());
        if !state.tasks.is_empty() {
            return;
        }
        let sentinels = state.sentinels.clone();
        for (nth, sentinel) in sentinels.into_iter().enumerate() {
            let task = listen::run(self.listener(), sentinel, nth);
            state.tasks.push(self.runtime.spawn(task).abort_handle());
        }
    }

    fn listener(&self) -> Weak<dyn Listener> {
        let me: Weak<Self> = Weak::clone(&self.me);
        me
    }

    /// Leaves the connections to any other address.
    fn switch(&self, to: Host) {
        self.state().announced = Some((to.clone(), Instant::now()));
        let address: Arc<str> = format!("{}:{}", to.0, to.1).into();
        let left = self.joined_now().into_iter().filter(|shared| shared.is_elsewhere(&to));
        let left: Vec<_> = left.map(|shared| (shared.since(), shared)).collect();
        for (_, shared) in &left {
            shared.leave(Disconnect::OtherMaster);
            shared.events().emit(Event::MasterSwitched { to: Arc::clone(&address) });
        }
        // Nothing is written to the old master any more, held or not.
        self.release(None);
        if !left.is_empty() {
            self.runtime.spawn(async move {
                sleep(LEAVE).await;
                for (since, shared) in left {
                    shared.kill_one(since, Disconnect::OtherMaster);
                }
            });
        }
    }

    /// Stops writing to the master.
    fn hold(&self) {
        let now = Instant::now();
        let joined = self.joined_now();
        {
            // A sentinel that is known by two addresses says it twice. The first hold has the timer.
            let mut state = self.state();
            if state.held.is_some() {
                return;
            }
            state.held = Some(now);
        }
        for shared in joined {
            shared.hold();
            shared.events().emit(Event::WritesHeld);
        }
        let me = Weak::clone(&self.me);
        self.runtime.spawn(async move {
            sleep(HOLD).await;
            if let Some(watch) = me.upgrade() {
                watch.release(Some(now));
            }
        });
    }

    /// Writes again; only if the hold began at this time, if that is given.
    fn release(&self, of: Option<Instant>) {
        let held = {
            let mut state = self.state();
            if of.is_some() && state.held != of {
                return;
            }
            state.held.take()
        };
        let Some(held) = held else { return };
        let after = held.elapsed();
        for shared in self.joined_now() {
            shared.release();
            shared.events().emit(Event::WritesReleased { after });
        }
    }

    /// Asks all sentinels for the master, and returns the answer that holds.
    async fn ask(&self) -> Result<Host, ConnectReason> {
        let sentinels = self.state().sentinels.clone();
        let of = sentinels.len();
        let (answered, mut answers) = mpsc::unbounded_channel();
        for sentinel in sentinels {
            let (answered, master) = (answered.clone(), self.settings.master.clone());
            self.runtime.spawn(async move {
                let _ = answered.send(sentinel.ask(&master).await);
            });
        }
        drop(answered);
        let (mut came, mut error) = (Vec::new(), None);
        let mut until = Instant::now() + ASKING + REST;
        while let Ok(Some(answer)) = timeout_at(until, answers.recv()).await {
            match answer {
                Ok(answer) => came.push(answer),
                Err(failed) => error = Some(failed),
            }
            if came.len() > of / 2 {
                until = until.min(Instant::now() + REST);
            }
        }
        match answers::choose(&came) {
            Some(Answer::Master { host, epoch }) => {
                let mut state = self.state();
                state.epoch = state.epoch.max(epoch);
                Ok(host)
            }
            Some(Answer::Unknown) => {
                let name = self.settings.master.as_str().into();
                Err(ConnectReason::UnknownMaster { name })
            }
            None => {
                let silent = || format!("none of {of} in {ASKING:?}");
                let error = error.map_or_else(silent, |error: Error| error.to_string());
                Err(ConnectReason::NoSentinel { error })
            }
        }
    }
}

impl Resolve for Watch {
    fn address(&self) -> BoxFuture<'_, Result<Host, ConnectReason>> {
        Box::pin(async {
            let announced = self.state().announced.clone();
            match announced {
                Some((host, at)) if at.elapsed() < ANNOUNCED => Ok(host),
                _ => self.ask().await,
            }
        })
    }

    fn joined(&self, shared: &Arc<Shared>) {
        let is_held = {
            let mut state = self.state();
            state.joined.push(Arc::downgrade(shared));
            state.held.is_some()
        };
        if is_held {
            shared.hold();
        }
        self.listen();
    }
}

impl Listener for Watch {
    fn dialler(&self) -> Dialler {
        self.dialler.for_node()
    }

    fn master(&self) -> &str {
        &self.settings.master
    }

    fn is_used(&self) -> bool {
        !self.joined_now().is_empty()
    }

    fn sentinels(&self) -> usize {
        self.state().sentinels.len()
    }

    fn learn(&self, hosts: Vec<Host>) {
        for host in hosts {
            if self.add(host) {
                let mut state = self.state();
                let nth = state.sentinels.len() - 1;
                if let Some(sentinel) = state.sentinels.last().cloned() {
                    let task = listen::run(self.listener(), sentinel, nth);
                    state.tasks.push(self.runtime.spawn(task).abort_handle());
                }
            }
        }
    }

    fn heard(&self, channel: &str, text: &str) {
        match messages::meaning(channel, text, &self.settings.master) {
            Some(Meaning::Switched(to)) => self.switch(to),
            Some(Meaning::Begun) if self.settings.hold => self.hold(),
            Some(Meaning::Aborted) => self.release(None),
            Some(Meaning::Begun) | None => {}
        }
    }

    fn answered(&self, answer: Answer) {
        let Answer::Master { host, epoch } = answer else { return };
        {
            let mut state = self.state();
            if epoch < state.epoch {
                return;
            }
            state.epoch = epoch;
        }
        // Also of the failover that is known: a connection may have been made to the old master while
        // the new one was named.
        if self.joined_now().iter().any(|shared| shared.is_elsewhere(&host)) {
            self.switch(host);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state().tasks.iter().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Arc<Watch> {
        let config = Arc::new(Config::sentinel("m", ["127.0.0.1:1"]));
        let settings = config.sentinel.clone().unwrap();
        Watch::new(&config, &settings, &Dialler::by_address()).unwrap()
    }

    fn host(port: u16) -> Host {
        ("h".to_owned(), port)
    }

    #[tokio::test(start_paused = true)]
    async fn hold_ends_after_its_time_also_if_it_was_announced_twice() {
        let watch = watch();
        let begun = || watch.heard("+selected-slave", "slave h:2 h 2 @ m h 1");
        begun();
        sleep(HOLD / 2).await;
        begun();
        assert!(watch.state().held.is_some());
        sleep(HOLD / 2 + Duration::from_millis(1)).await;
        assert!(watch.state().held.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_of_an_earlier_failover_are_ignored_and_others_move_connections() {
        let watch = watch();
        let shared = Shared::connected_to(&watch.config, host(1));
        watch.state().joined.push(Arc::downgrade(&shared));
        let answered = |port, epoch| {
            watch.answered(Answer::Master { host: host(port), epoch });
            watch.state().announced.take().map(|(host, _)| host)
        };
        assert_eq!(answered(1, 4), None, "it is there already");
        assert_eq!(answered(2, 3), None, "an earlier failover");
        assert_eq!(answered(2, 4), Some(host(2)), "it was connected too early");
        assert_eq!(answered(3, 5), Some(host(3)));
    }
}
