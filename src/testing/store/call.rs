//! One command: its arguments, its database, its time. No I/O.

use super::arguments::Arguments;
use super::database::{Database, Value};
use super::run::Signals;
use super::stream::{NodeLimits, Stream};
use super::{Release, Reply, errors};
use bytes::Bytes;

/// The reply of a command, or its error.
pub(super) type Answer = Result<Reply, Reply>;

/// A command that runs.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) release: Release,
    /// The time in milliseconds since 1970.
    pub(super) now: i64,
    pub(super) resp3: bool,
    pub(super) limits: NodeLimits,
    pub(super) args: Arguments<'a>,
    pub(super) db: u32,
    pub(super) databases: &'a mut Vec<Database>,
    pub(super) signals: &'a mut Signals,
}

impl Call<'_> {
    /// Whether the release has what this one introduced.
    pub(super) fn has(&self, since: Release) -> bool {
        self.release.has(since)
    }

    /// Returns the selected database.
    pub(super) fn database(&mut self) -> &mut Database {
        self.databases.get_mut(self.db as usize).expect("the number is limited at the call")
    }

    /// Returns a stream to read or to change. `None`: no such key.
    pub(super) fn stream(&mut self, key: &[u8]) -> Result<Option<&mut Stream>, Reply> {
        match self.database().get_mut(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(Value::Text(_)) => Err(errors::wrong_type()),
        }
    }

    /// Takes a stream out, to change it beside the call. It must be put back.
    pub(super) fn take_stream(&mut self, key: &[u8]) -> Result<Option<Box<Stream>>, Reply> {
        match self.database().get_mut(key) {
            None => Ok(None),
            Some(Value::Stream(stream)) => Ok(Some(std::mem::take(stream))),
            Some(Value::Text(_)) => Err(errors::wrong_type()),
        }
    }

    /// Puts a stream back.
    pub(super) fn put_stream(&mut self, key: &[u8], taken: Box<Stream>) {
        if let Some(Value::Stream(stream)) = self.database().get_mut(key) {
            *stream = taken;
        }
    }

    /// Creates an empty stream.
    pub(super) fn create_stream(&mut self, key: &Bytes) {
        self.database().set(key.clone(), Value::Stream(Box::default()));
        self.ready(key);
    }

    /// Records that a waiting read may have something.
    pub(super) fn ready(&mut self, key: &Bytes) {
        self.signals.ready.push((self.db, key.clone()));
    }

    /// Records that a key was modified.
    pub(super) fn modified(&mut self, key: &Bytes) {
        self.signals.modified.push((self.db, key.clone()));
    }
}
