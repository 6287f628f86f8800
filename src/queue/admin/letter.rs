//! A dead letter, as a queue reads it from the dead-letter stream. No I/O.

use crate::entry::{Entry, EntryRef, Fields};
use crate::id::EntryId;
use crate::queue::cause::DeadLetterCause;
use crate::queue::codec::CodecError;
use crate::queue::codec::headers::Headers;
use crate::queue::codec::origin::{self, Letter};
use crate::queue::settings::Settings;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A job without attempts left.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// for letter in queue.dead_letters().list(None, 10).await? {
///     println!("{} after {} attempts: {}", letter.id, letter.attempts, letter.reason);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter<T> {
    /// Its id in the dead-letter stream.
    pub id: EntryId,
    /// The id of the job: that of its first entry, also if it was redriven before.
    pub original: EntryId,
    /// The number of attempts.
    pub attempts: u32,
    /// The cause for which it was dead-lettered.
    pub cause: DeadLetterCause,
    /// The last error.
    pub reason: String,
    /// The time of its move to the dead-letter stream, by the clock of the worker that moved it.
    pub at: SystemTime,
    /// The payload; an error if it cannot be decoded, which may be why the job failed.
    pub payload: Result<T, CodecError>,
    entry: Entry,
}

impl<T> DeadLetter<T> {
    pub(crate) fn new(entry: Entry, letter: Letter<'_>, payload: Result<T, CodecError>) -> Self {
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(letter.at_ms));
        Self {
            id: entry.id(),
            original: letter.id,
            attempts: letter.attempts,
            cause: letter.cause,
            reason: String::from_utf8_lossy(letter.reason).into_owned(),
            at: at.unwrap_or(UNIX_EPOCH),
            payload,
            entry,
        }
    }

    /// Returns the headers that were set when the job was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.entry.by_ref())
    }

    /// Returns the entry itself: the fields of the dead letter, then those of the job.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// Whether the entry is not a letter of any queue: another program added it.
pub(crate) fn is_foreign(settings: &Settings, entry: EntryRef<'_>) -> bool {
    let key = settings.dead_letter.as_deref().unwrap_or_default();
    Letter::split(origin::of_job(entry.fields(), entry.id(), key).1).is_none()
}

/// Returns the origin of the entry and the job's own fields; `None` if it is not a letter of this
/// queue: another queue may use the same stream, and another producer.
pub(crate) fn own<'a>(
    settings: &Settings,
    entry: EntryRef<'a>,
) -> Option<(Letter<'a>, Fields<'a>)> {
    // Where the dead-letter stream is a queue too, a letter may have been redriven in it.
    let key = settings.dead_letter.as_deref().unwrap_or_default();
    let (_, fields) = origin::of_job(entry.fields(), entry.id(), key);
    let split = Letter::split(fields);
    split.filter(|(letter, _)| letter.is_of(&settings.stream, &settings.group))
}
