//! An in-memory server for tests: streams, consumer groups, transactions, faults. Feature `testing`.
//!
//! A [`Server`] answers over in-memory pipes as a real server of a chosen version does, in RESP2 and
//! RESP3. Tests of handlers, producers and workers need no server and no real time:
//!
//! ```
//! use bourn::queue::{Fail, Flat, Job, Queue};
//! use bourn::testing::Server;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let server = Server::new();
//! let client = server.client().await?;
//! let queue: Queue<Vec<(String, String)>> = Queue::builder(&client, "email").open(Flat).await?;
//! queue.producer().enqueue(&vec![("user_id".into(), "123".into())]).await?;
//!
//! // Runs for a minute, which takes no time because the test's clock is paused.
//! let minute = tokio::time::sleep(std::time::Duration::from_secs(60));
//! let report = queue.worker().run(minute, |job: Job<Vec<(String, String)>>| async move {
//!     assert_eq!(job.attempt(), 1);
//!     Ok::<(), Fail>(())
//! });
//! assert_eq!(report.await?.done, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # What it has
//!
//! All stream commands, DEL, UNLINK, EXISTS, TYPE, EXPIRE and the like, SET, GET and FLUSHALL; MULTI,
//! EXEC, DISCARD; HELLO, AUTH, CLIENT, PING, ECHO, SELECT, INFO, ROLE, WAIT, WAITAOF, TIME, CONFIG
//! GET and SET, ACL SETUSER, CLUSTER SLOTS and SHARDS. It has no scripts, no WATCH, no publish and
//! subscribe, and no other types than streams and strings. Replies, errors and waits are those of
//! the version; the matrix of this crate's tests compares them.
//!
//! # Time
//!
//! The server runs in the tasks of its clients, and on tokio's clock. In a test with paused time
//! (`#[tokio::test(start_paused = true)]`, tokio's feature `test-util`) every wait ends at once, and
//! everything happens in the same order each time. [`Server::advance_clock`] and
//! [`Server::rewind_clock`] move the server's clock alone. All clients of a server have to be in one
//! runtime.
//!
//! # Faults
//!
//! [`Server::inject`] asks for a [`Fault`]: an error, a lost reply, a cut at any byte, a stall.
//! [`Server::crash`] and [`Server::fail_over`] lose what was not saved or replicated.

mod clock;
mod commands;
mod dispatch;
mod engine;
mod fault;
mod link;
mod output;
mod readers;
mod request;
mod server;
mod settings;
mod state;
mod store;
mod users;
mod wire;

pub use crate::random::seed;
pub use fault::Fault;
pub use request::Request;
pub use server::{Server, ServerBuilder};
pub use wire::Connection;
