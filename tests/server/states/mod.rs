//! Servers that are not ready, not willing or not there: each is put into that state, and out of it again.
//!
//! | room | state |
//! |---|---|
//! | `passing` | LOADING, BUSY, MASTERDOWN: it passes, and who has time waits for that |
//! | `cluster` | CLUSTERDOWN, TRYAGAIN: the same, of a cluster's slots |
//! | `role` | READONLY, UNBLOCKED: a master that becomes a replica, and a master again |
//! | `refusing` | NOREPLICAS, OOM, MISCONF, NOPERM: somebody has to mend it |
//! | `credentials` | NOAUTH, WRONGPASS |
//! | `crowded` | too many clients |
//! | `halted` | CLIENT PAUSE, a halted process |

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

/// The time of a command that comes before the state ends.
const SHORT: Duration = Duration::from_secs(1);

/// The time of a command that sees the state's end.
const LONG: Duration = Duration::from_secs(30);

/// No error comes later than this after its deadline.
const LATE: Duration = Duration::from_millis(100);

fn a_write() -> XAdd<'static> {
    XAdd::new("s").field("f", "v")
}

fn a_read() -> XLen<'static> {
    XLen::new("s")
}

/// Refused with this code, and so not run.
#[track_caller]
fn is_refused<T: Debug>(result: Result<T, Error>, code: &Code) {
    let error = result.expect_err("it is refused");
    assert_eq!((error.code(), error.outcome()), (Some(code), Outcome::NotApplied), "{error:?}");
}

/// Clients of one server that differ in how they take a refusal.
struct Callers {
    /// Never sends again.
    told: Client,
    /// Sends again, for a short time.
    hurried: Client,
    /// Sends again, for a long time.
    patient: Client,
}

impl Callers {
    async fn connect(config: &Config) -> Self {
        let with = async |retry, time| {
            let config = config.clone().retry(retry).command_timeout(time);
            Client::connect(config).await.expect("the server takes connections")
        };
        Self {
            told: with(Retry::Never, LONG).await,
            hurried: with(Retry::Safe, SHORT).await,
            patient: with(Retry::Safe, LONG).await,
        }
    }

    /// The server is in a state that passes, and refuses `command` with `code` until `end`. Returns the reply to a command
    /// that waited for that.
    ///
    /// A single command or a transaction ends in its time, or is answered after it; parts of a batch are refused at once.
    async fn wait_out<C: Command>(
        &self,
        code: Code,
        command: impl Fn() -> C,
        end: impl AsyncFnOnce(),
    ) -> C::Reply
    where
        C::Reply: Debug,
    {
        is_refused(self.told.send(command()).await, &code);

        loop {
            let start = Instant::now();
            let result = self.hurried.send(command()).await;
            let took = start.elapsed();
            assert!(took > SHORT / 4 && took < SHORT + LATE, "{code}: told after {took:?}");
            // The last attempt may be under way when the time is over, and nobody knows what becomes of it.
            if took < SHORT || !matches!(result, Err(Error::TimedOut { .. })) {
                break is_refused(result, &code);
            }
        }

        match self.told.transact((command(), command())).await {
            Err(error) => is_refused::<()>(Err(error), &code),
            Ok((first, second)) => panic!("a transaction came through: {first:?} {second:?}"),
        }
        {
            let mut waiting = pin!(self.patient.transact((command(), command())));
            meanwhile(waiting.as_mut(), async {
                for _ in 0..5 {
                    is_refused(self.told.send(command()).await, &code);
                }
            })
            .await;
        }
        // Answered behind the transaction that was dropped.
        let start = Instant::now();
        let (first, second) = self.patient.send_all((command(), command())).await;
        is_refused(first, &code);
        is_refused(second, &code);
        assert!(start.elapsed() < SHORT, "{code}: a batch is refused at once");

        let mut waiting = pin!(self.patient.send(command()));
        meanwhile(waiting.as_mut(), async {
            for _ in 0..5 {
                is_refused(self.told.send(command()).await, &code);
            }
        })
        .await;
        end().await;
        waiting.await.expect("it waited for the state to end")
    }
}

/// Does something while a call is under way that does not end meanwhile.
async fn meanwhile<T: Debug, D>(
    call: Pin<&mut impl Future<Output = T>>,
    done: impl Future<Output = D>,
) -> D {
    tokio::select! {
        biased;
        done = done => done,
        result = call => panic!("it ended too soon: {result:?}"),
    }
}

/// How often the server has refused a command with this code.
fn refusals(server: &Server, code: &Code) -> u64 {
    let start = format!("errorstat_{code}:count=");
    let stats = server.command(&["INFO", "errorstats"]);
    let count = stats.lines().find_map(|line| line.strip_prefix(&start));
    count.map_or(0, |count| count.trim().parse().expect("a count is a number"))
}

/// A listener that has heard how things stand.
async fn listen(client: &Client) -> Events {
    let mut events = client.events();
    let first = events.next().await;
    assert!(matches!(first, Some(Event::Connected { .. })), "{first:?}");
    events
}

/// Waits for an event of this kind.
async fn until_told(events: &mut Events, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event =
            events.next().await.unwrap_or_else(|| panic!("the end of events before {what}"));
        if is_it(&event) {
            return event;
        }
    }
}

/// Nothing has happened to the connection.
#[track_caller]
fn nothing_was_told(events: &mut Events) {
    let next = futures_util::FutureExt::now_or_never(events.next());
    assert!(next.is_none(), "{next:?}");
}
