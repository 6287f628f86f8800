//! One sentinel, and the questions to it.

use super::answers::{self, Answer};
use crate::command::Raw;
use crate::config::Config;
use crate::connection::{Call, Connection, Host, Single};
use crate::error::{Code, ConnectError, ConnectReason, Error};
use crate::resp::Value;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The time limit of a question to the sentinels.
pub(super) const ASKING: Duration = Duration::from_secs(1);

/// An answer is waited for, for this long, although the connection could not be made before.
const FAILING: Duration = Duration::from_millis(100);

/// The time between two looks at a connection that may not be made.
const LOOK: Duration = Duration::from_millis(20);

/// A sentinel, and the connection for questions to it.
#[derive(Debug)]
pub(super) struct Sentinel {
    pub(super) host: Host,
    pub(super) config: Arc<Config>,
    pub(super) connection: Connection,
}

impl Sentinel {
    /// Asks for the master. Fails soon where no connection can be made.
    pub(super) async fn ask(&self, master: &str) -> Result<Answer, Error> {
        let mut asked = pin!(self.question(master));
        let until = Instant::now() + ASKING;
        let mut look = Instant::now() + FAILING;
        loop {
            match timeout_at(look, asked.as_mut()).await {
                Ok(answer) => return answer,
                Err(_) if look < until && !self.connection.shared().is_failing() => {
                    look = until.min(look + LOOK);
                }
                Err(_) => return Err(self.silent().into()),
            }
        }
    }

    async fn question(&self, master: &str) -> Result<Answer, Error> {
        let epoch = match self.send("MASTER", master).await {
            Ok(reply) => answers::epoch(&reply),
            Err(Error::Server(error)) if *error.code() == Code::Err => return Ok(Answer::Unknown),
            Err(error) => return Err(error),
        };
        let reply = self.send("GET-MASTER-ADDR-BY-NAME", master).await?;
        let host = answers::host(&reply);
        Ok(host.map_or(Answer::Unknown, |host| Answer::Master { host, epoch }))
    }

    /// Returns the error of the connection, if that is the cause of the missing answer.
    fn silent(&self) -> ConnectError {
        if let Some(error) = self.connection.shared().connect_error() {
            return (*error).clone();
        }
        let during = "the sentinel did not answer".to_owned();
        ConnectError::new(&self.config.address, ConnectReason::TimedOut { after: ASKING, during })
    }

    /// Sends SENTINEL with this word for a master.
    pub(super) async fn send(&self, word: &str, master: &str) -> Result<Value, Error> {
        let command = Raw::new("SENTINEL").arg(word).arg(master);
        Call::new(self.connection.shared(), None, Single(command)).await
    }
}
