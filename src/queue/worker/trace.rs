//! The span of a job (feature `tracing`). Part of the tasks.

use super::job::JobInfo;
use crate::queue::codec::propagate::Propagator;
use tracing::Span;

/// Returns the span of a job: `job`, with stream, group, id and attempt.
pub(crate) fn span(info: &JobInfo) -> Span {
    let (stream, group) = (info.stream().escape_ascii(), info.group().escape_ascii());
    let (id, attempt) = (info.id(), info.attempt());
    let span = tracing::info_span!(target: "bourn", "job", %stream, %group, %id, attempt);
    if let Some(Propagator(propagator)) = info.propagator() {
        propagator.extract(info.headers(), &span);
    }
    span
}
