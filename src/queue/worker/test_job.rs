//! Jobs that come from no queue, for unit tests of handlers. Part of the tasks.

use super::job::{Job, JobInfo, Origin};
use crate::command::{Command, XRange};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::queue::codec::headers::PREFIX;
use crate::queue::consumer::lease::Lease;
use crate::resp::{Frame, Limits};
use std::sync::Arc;

/// Configures a [`Job`] for a unit test. Created by [`Job::for_test`].
///
/// ```
/// use bourn::EntryId;
/// use bourn::queue::Job;
///
/// let job = Job::for_test("welcome")
///     .attempt(3)
///     .header("tenant", "acme")
///     .id(EntryId::new(1_700_000_000_000, 0))
///     .build();
/// assert_eq!((*job, job.attempt()), ("welcome", 3));
/// assert_eq!(job.headers().get("tenant"), Some(b"acme".as_slice()));
/// assert!(!job.lease().is_lost());
/// ```
#[derive(Debug, Clone)]
#[must_use = "a `TestJob` does nothing until `build` is called"]
pub struct TestJob<T> {
    payload: T,
    stream: Box<[u8]>,
    group: Box<[u8]>,
    id: EntryId,
    attempt: u32,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<T> Job<T> {
    /// Creates a job without a queue, for a unit test of a handler. Feature `testing`.
    ///
    /// ```
    /// use bourn::queue::{Fail, Job};
    ///
    /// async fn send(email: Job<&str>) -> Result<(), Fail> {
    ///     if *email == "welcome" { Ok(()) } else { Err(Fail::dead("unknown template")) }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert!(send(Job::for_test("welcome").build()).await.is_ok());
    /// assert!(matches!(send(Job::for_test("welcom").build()).await, Err(Fail::Dead(_))));
    /// # }
    /// ```
    pub fn for_test(payload: T) -> TestJob<T> {
        let (stream, group) = (b"test".as_slice().into(), b"workers".as_slice().into());
        TestJob { payload, stream, group, id: EntryId::new(1, 0), attempt: 1, headers: Vec::new() }
    }
}

impl<T> TestJob<T> {
    /// Sets the number of the attempt. The default is 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the id. The default is `1-0`.
    pub fn id(mut self, id: EntryId) -> Self {
        self.id = id;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Sets the stream and the group, of which the idempotency key consists. The default is `test`
    /// and `workers`.
    pub fn queue(mut self, stream: impl AsRef<[u8]>, group: impl AsRef<[u8]>) -> Self {
        self.stream = stream.as_ref().into();
        self.group = group.as_ref().into();
        self
    }

    /// Returns the job. Its lease is valid, and has no deadline.
    #[must_use]
    pub fn build(self) -> Job<T> {
        let Self { payload, stream, group, id, attempt, headers } = self;
        let origin = Origin::Test { stream, group };
        let info = JobInfo::new(origin, attempt, entry(id, &headers), Lease::without_end(id));
        Job::new(payload, Arc::new(info))
    }
}

/// Returns an entry with these headers, as a server would send it.
fn entry(id: EntryId, headers: &[(Vec<u8>, Vec<u8>)]) -> Entry {
    let bulk = |text: &[u8]| [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    let fields = headers
        .iter()
        .flat_map(|(name, value)| [bulk(&[PREFIX, name.as_slice()].concat()), bulk(value)]);
    let fields: Vec<u8> = fields.flatten().collect();
    let begin = [b"*1\r\n*2\r\n".as_slice(), &bulk(id.to_string().as_bytes())].concat();
    let count = format!("*{}\r\n", headers.len() * 2);
    let reply = [begin.as_slice(), count.as_bytes(), &fields].concat();
    let limits = Limits { reply_bytes: usize::MAX, ..Limits::default() };
    let entries = Frame::parse(reply, limits).ok().and_then(|frame| XRange::reply(frame).ok());
    let first = entries.as_ref().and_then(|entries| entries.first());
    first.expect("the reply has one entry").to_entry()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn job_has_what_was_set_and_a_lease_that_is_not_lost() {
        let job = Job::for_test(7)
            .id(EntryId::new(5, 6))
            .attempt(2)
            .header("a", "1")
            .header("a", b"\r\n\0")
            .queue("jobs", "g")
            .build();
        assert_eq!((*job, job.id(), job.attempt()), (7, EntryId::new(5, 6), 2));
        assert_eq!(job.idempotency_key(), "jobs/g/5-6");
        let headers: Vec<_> = job.headers().iter().collect();
        assert_eq!(headers, [(b"a".as_slice(), b"1".as_slice()), (b"a", b"\r\n\0")]);
        assert_eq!((job.lease().is_lost(), job.lease().deadline()), (false, None));
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        tokio::time::timeout(day, job.lease().lost()).await.expect_err("it is never lost");
    }

    #[test]
    fn job_without_settings_has_the_defaults() {
        let job = Job::for_test("text").build();
        assert_eq!((job.attempt(), job.headers().len()), (1, 0));
        assert_eq!(job.idempotency_key(), "test/workers/1-0");
    }
}
