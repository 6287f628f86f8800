//! Servers that are not ready, refuse commands, or are missing. Each test sets the state and resets
//! it.
//!
//! | module | state |
//! |---|---|
//! | `passing` | LOADING, BUSY, MASTERDOWN: transient, and commands wait within their deadline |
//! | `cluster` | CLUSTERDOWN, TRYAGAIN: the same, of a cluster's slots |
//! | `role` | READONLY, UNBLOCKED: a master that becomes a replica, and a master again |
//! | `refusing` | NOREPLICAS, OOM, MISCONF, NOPERM: permanent until an operator acts |
//! | `credentials` | NOAUTH, WRONGPASS |
//! | `crowded` | `maxclients` reached |
//! | `halted` | CLIENT PAUSE, a stopped process |

mod cluster;
mod credentials;
mod crowded;
mod halted;
mod passing;
mod refusing;
mod role;

use crate::support::Server;
use bourn::{Client, Code, Command, Config, Error, Event, Events, Outcome, Retry, XAdd, XLen};
use std::fmt::Debug;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

/// The timeout of a command that ends before the state does.
const SHORT: Duration = Duration::from_secs(1);

/// The timeout of a command that outlasts the state.
const LONG: Duration = Duration::from_secs(30);

/// No error is later than this after its deadline.
const LATE: Duration = Duration::from_millis(100);

fn a_write() -> XAdd<'static> {
    XAdd::new("s").field("f", "v")
}

fn a_read() -> XLen<'static> {
    XLen::new("s")
}

/// Checks that the command was refused with this code, and so did not run.
#[track_caller]
fn is_refused<T: Debug>(result: Result<T, Error>, code: &Code) {
    let error = result.expect_err("it is refused");
    assert_eq!((error.code(), error.outcome()), (Some(code), Outcome::NotApplied), "{error:?}");
}

/// Clients of one server that react differently to a refusal.
struct Callers {
    /// Never retries.
    no_retry: Client,
    /// Retries for a short time.
    short_timeout: Client,
    /// Retries for a long time.
    long_timeout: Client,
}

impl Callers {
    async fn connect(config: &Config) -> Self {
        let with = async |retry, time| {
            let config = config.clone().retry(retry).command_timeout(time);
            Client::connect(config).await.expect("the server takes connections")
        };
        Self {
            no_retry: with(Retry::Never, LONG).await,
            short_timeout: with(Retry::Safe, SHORT).await,
            long_timeout: with(Retry::Safe, LONG).await,
        }
    }

    /// Checks that the server refuses `command` with `code` until `end`. Returns the reply to a
    /// command that waited for that.
    ///
    /// A single command or a transaction ends in its time, or is answered after it; parts of a
    /// batch are refused at once.
    async fn wait_out<C: Command>(
        &self,
        code: Code,
        command: impl Fn() -> C,
        end: impl AsyncFnOnce(),
    ) -> C::Reply
    where
        C::Reply: Debug,
    {
        is_refused(self.no_retry.send(command()).await, &code);

        loop {
            let start = Instant::now();
            let result = self.short_timeout.send(command()).await;
            let took = start.elapsed();
            assert!(took > SHORT / 4 && took < SHORT + LATE, "{code}: error after {took:?}");
            // The last attempt may be in flight at the deadline. Its outcome is then unknown.
            if took < SHORT || !matches!(result, Err(Error::TimedOut { .. })) {
                break is_refused(result, &code);
            }
        }

        match self.no_retry.transact((command(), command())).await {
            Err(error) => is_refused::<()>(Err(error), &code),
            Ok((first, second)) => panic!("a transaction came through: {first:?} {second:?}"),
        }
        {
            let mut waiting = pin!(self.long_timeout.transact((command(), command())));
            meanwhile(waiting.as_mut(), async {
                for _ in 0..5 {
                    is_refused(self.no_retry.send(command()).await, &code);
                }
            })
            .await;
        }
        // Answered behind the transaction that was dropped.
        let start = Instant::now();
        let (first, second) = self.long_timeout.send_all((command(), command())).await;
        is_refused(first, &code);
        is_refused(second, &code);
        assert!(start.elapsed() < SHORT, "{code}: a batch is refused at once");

        let mut waiting = pin!(self.long_timeout.send(command()));
        meanwhile(waiting.as_mut(), async {
            for _ in 0..5 {
                is_refused(self.no_retry.send(command()).await, &code);
            }
        })
        .await;
        end().await;
        waiting.await.expect("it waited for the state to end")
    }
}

/// Runs `done` while a call is in flight that must not end before.
async fn meanwhile<T: Debug, D>(
    call: Pin<&mut impl Future<Output = T>>,
    done: impl Future<Output = D>,
) -> D {
    tokio::select! {
        biased;
        done = done => done,
        result = call => panic!("the call ended too soon: {result:?}"),
    }
}

/// Returns how often the server refused a command with this code.
fn refusals(server: &Server, code: &Code) -> u64 {
    let start = format!("errorstat_{code}:count=");
    let stats = server.command(&["INFO", "errorstats"]);
    let count = stats.lines().find_map(|line| line.strip_prefix(&start));
    count.map_or(0, |count| count.trim().parse().expect("a count is a number"))
}

/// Returns a listener that has received the current state.
async fn listen(client: &Client) -> Events {
    let mut events = client.events();
    let first = events.next().await;
    assert!(matches!(first, Some(Event::Connected { .. })), "{first:?}");
    events
}

/// Waits for an event of this kind.
async fn wait_for_event(events: &mut Events, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event =
            events.next().await.unwrap_or_else(|| panic!("the end of events before {what}"));
        if is_it(&event) {
            return event;
        }
    }
}

/// Checks that no further event has arrived.
#[track_caller]
fn assert_no_event(events: &mut Events) {
    let next = futures_util::FutureExt::now_or_never(events.next());
    assert!(next.is_none(), "{next:?}");
}
