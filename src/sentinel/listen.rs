//! The task that listens to one sentinel, and asks it now and then.

use super::answers::{self, Answer};
use super::asked::Sentinel;
use super::messages::CHANNELS;
use crate::connection::{Dialler, Heard, Host, Subscription};
use crate::random;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// The time between two signs of life that are asked for.
const BEAT: Duration = Duration::from_secs(1);

/// A sentinel that is silent for this many beats is connected to again.
const SILENT: u32 = 3;

/// A sentinel is asked for the others after this many beats.
const LEARN: u32 = 30;

/// The greatest pause between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// The receiver of what sentinels say.
pub(super) trait Listener: fmt::Debug + Send + Sync {
    /// Returns a dialler for a sentinel.
    fn dialler(&self) -> Dialler;

    /// Returns the name of the master.
    fn master(&self) -> &str;

    /// Whether there is a connection to the master.
    fn is_used(&self) -> bool;

    /// Returns the number of sentinels.
    fn sentinels(&self) -> usize;

    /// Handles a message.
    fn heard(&self, channel: &str, text: &str);

    /// Handles an answer that was asked for without a reason: a message may have been missed.
    fn answered(&self, answer: Answer);

    /// Adds sentinels that another one named, and listens to them.
    fn learn(&self, hosts: Vec<Host>);
}

/// Listens until the listener is not used any more.
pub(super) async fn run(to: Weak<dyn Listener>, sentinel: Arc<Sentinel>, nth: usize) {
    let Some(dialler) = to.upgrade().map(|to| to.dialler()) else { return };
    loop {
        if let Ok(subscription) = Subscription::open(&sentinel.config, &dialler, &CHANNELS).await {
            let _ = hear(&to, &sentinel, nth, subscription).await;
        }
        // A sentinel that cannot be reached is not connected to either when nothing uses it.
        if !is_used(&to, &sentinel) {
            return;
        }
        sleep(PAUSE.mul_f64(random::fraction())).await;
    }
}

/// Whether there is a connection to the master. If not, that to the sentinel is closed.
fn is_used(to: &Weak<dyn Listener>, sentinel: &Sentinel) -> bool {
    let is_used = to.upgrade().is_some_and(|to| to.is_used());
    if !is_used {
        sentinel.connection.shared().park();
    }
    is_used
}

/// Passes messages on until the connection ends or nothing uses it.
async fn hear(
    to: &Weak<dyn Listener>,
    sentinel: &Sentinel,
    nth: usize,
    mut subscription: Subscription,
) -> Option<()> {
    let (mut beat, mut silent, mut beats) = (Instant::now() + BEAT, 0, 0);
    loop {
        match timeout_at(beat, subscription.next()).await {
            Ok(Ok(Heard::Message { channel, text })) => {
                silent = 0;
                to.upgrade()?.heard(&channel, &text);
            }
            Ok(Ok(Heard::Other)) => silent = 0,
            Ok(Err(_)) => return None,
            Err(_) => {
                if silent >= SILENT || !is_used(to, sentinel) {
                    return None;
                }
                subscription.ping().await.ok()?;
                (beat, silent) = (Instant::now() + BEAT, silent + 1);
                look(&*to.upgrade()?, sentinel, nth, beats).await;
                beats += 1;
            }
        }
    }
}

/// Asks the sentinel whose turn it is for the master, and each of them for the others.
async fn look(to: &dyn Listener, sentinel: &Sentinel, nth: usize, beats: u32) {
    let of = to.sentinels().max(1);
    if beats as usize % of == nth % of {
        if let Ok(answer) = sentinel.ask(to.master()).await {
            to.answered(answer);
        }
    }
    if beats % LEARN == 0 {
        if let Ok(reply) = sentinel.send("SENTINELS", to.master()).await {
            to.learn(answers::others(&reply));
        }
    }
}
