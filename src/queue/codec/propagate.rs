//! Propagation of a trace context with a job (feature `tracing`). No I/O.

use crate::queue::codec::headers::Headers;
use std::fmt;
use std::sync::Arc;
use tracing::Span;

/// Carries a trace context from the code that enqueues a job to the code that runs it.
///
/// The context is carried in headers of the job, such as the `traceparent` of W3C Trace Context.
/// This crate does not depend on a tracing system: implement the trait with the one that you use,
/// and pass it to [`QueueBuilder::propagate`](crate::queue::QueueBuilder::propagate).
///
/// ```
/// use bourn::queue::{Headers, Propagate};
/// use tracing::Span;
///
/// struct TraceParent;
///
/// impl Propagate for TraceParent {
///     fn inject(&self, header: &mut dyn FnMut(&str, &str)) {
///         // With opentelemetry: inject the context of `Span::current()` with the propagator.
///         header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
///     }
///
///     fn extract(&self, headers: Headers<'_>, span: &Span) {
///         if let Some(parent) = headers.get("traceparent") {
///             // With tracing-opentelemetry: `span.set_parent(context)`.
///             tracing::debug!(parent: span, parent = %parent.escape_ascii());
///         }
///     }
/// }
/// ```
pub trait Propagate: Send + Sync + 'static {
    /// Adds the headers of the current context to a job that is enqueued: call `header` with a name
    /// and a value.
    ///
    /// A header with the same name that was set through `enqueue_with` takes precedence.
    fn inject(&self, header: &mut dyn FnMut(&str, &str));

    /// Makes the context in these headers the parent of the job's span. Called before the span is
    /// entered.
    fn extract(&self, headers: Headers<'_>, span: &Span);
}

/// The propagator of a queue.
#[derive(Clone)]
pub(crate) struct Propagator(pub(crate) Arc<dyn Propagate>);

impl fmt::Debug for Propagator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Propagator")
    }
}
