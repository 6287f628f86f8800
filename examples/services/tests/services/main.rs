//! Each service as a program, with a private server of its own.
//!
//! | module | service |
//! |---|---|
//! | `email` | the e-mail queue: crash, retries, dead letters, priorities |
//! | `orders` | the web service: health without Redis, idempotent requests, metrics, SIGTERM |
//! | `feed` | the activity feed: two groups, a replay, live browsers |
//! | `cdc` | the bridge to SQLite: `kill -9` in the middle of its work |

mod cdc;
mod email;
mod feed;
mod orders;
mod program;
#[path = "../../../../tests/server/support.rs"]
mod support;
