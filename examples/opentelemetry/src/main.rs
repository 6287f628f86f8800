//! A trace that goes through a queue: the span that enqueues a job is the parent of its attempts.
//!
//! ```sh
//! cargo run --manifest-path examples/opentelemetry/Cargo.toml --target-dir target/opentelemetry \
//!     -- redis://127.0.0.1
//! ```
//!
//! A job is enqueued in a span `order`. Its first attempt fails, and the second one succeeds. The
//! spans are exported to memory and printed. A service exports them to its collector; nothing else
//! changes.

use bourn::queue::{BoxError, Fail, Headers, Job, Propagate, Queue, RawBytes, RetryPolicy};
use bourn::{Client, Exists, Unlink};
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const STREAM: &str = "opentelemetry:jobs";
const DEAD: &str = "opentelemetry:dead";

/// Carries the context with the global propagator.
struct GlobalPropagator;

impl Propagate for GlobalPropagator {
    fn inject(&self, header: &mut dyn FnMut(&str, &str)) {
        let (context, mut carrier) = (Span::current().context(), Carrier(header));
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut carrier);
        });
    }

    fn extract(&self, headers: Headers<'_>, span: &Span) {
        let context =
            global::get_text_map_propagator(|propagator| propagator.extract(&Carrier(headers)));
        // Fails if a filter disables the span. The handler's spans are then in another trace.
        if let Err(error) = span.set_parent(context) {
            tracing::warn!("the span of a job has no parent: {error}");
        }
    }
}

/// The headers of a job in the form that OpenTelemetry reads and writes.
struct Carrier<H>(H);

impl Injector for Carrier<&mut dyn FnMut(&str, &str)> {
    fn set(&mut self, name: &str, value: String) {
        // `tracestate` is always set and mostly empty: it would take space in every job.
        if !value.is_empty() {
            (self.0)(name, &value);
        }
    }
}

impl Extractor for Carrier<Headers<'_>> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok()).collect()
    }
}

/// Installs the propagator of W3C Trace Context, and a tracer that exports to memory.
fn install() -> InMemorySpanExporter {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("opentelemetry"));
    // A filter must admit INFO of the target `bourn`: the span of a job is one.
    tracing_subscriber::registry().with(LevelFilter::INFO).with(layer).init();
    global::set_text_map_propagator(TraceContextPropagator::new());
    exporter
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".to_owned());
    let exporter = install();
    let client = Client::connect(url).await?;
    if client.send(Exists::new(STREAM).and(DEAD)).await? > 0 {
        return Err(format!("{STREAM} or {DEAD} is on this server: left alone").into());
    }
    let result = work(&client).await;
    client.send(Unlink::new(STREAM).and(DEAD)).await?;
    client.close().await;
    result?;
    let complete = show(&exporter.get_finished_spans()?)?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Enqueues a job, and runs it until it succeeds.
async fn work(client: &Client) -> Result<(), BoxError> {
    let wait = Duration::from_millis(10);
    let queue: Queue<String> = Queue::builder(client, STREAM)
        .dead_letter(DEAD)
        .retry(RetryPolicy::exponential(wait, wait).max_attempts(2))
        .propagate(GlobalPropagator)
        .open(RawBytes)
        .await?;

    // The context is that of the span in which the future of `enqueue` runs.
    let (producer, payload) = (queue.producer(), "order 1".to_owned());
    producer.enqueue(&payload).instrument(tracing::info_span!("order")).await?;

    let succeeded = Arc::new(Notify::new());
    let stop = Arc::clone(&succeeded);
    let handler = move |job: Job<String>| {
        let succeeded = Arc::clone(&succeeded);
        async move {
            // A span of the handler is a child of the job's span.
            let _mail = tracing::info_span!("mail").entered();
            if job.attempt() == 1 {
                return Err(Fail::retry("the mail server is busy"));
            }
            succeeded.notify_one();
            Ok(())
        }
    };
    println!("{}", queue.worker().run(stop.notified(), handler).await?);
    Ok(())
}

/// Prints the spans. Returns whether both attempts are children of the producer in its trace.
fn show(spans: &[SpanData]) -> Result<bool, BoxError> {
    let named = |name: &'static str| spans.iter().filter(move |span| span.name == name);
    let order = named("order").next().ok_or("the span of the producer was not exported")?;
    line("producer", order);
    let mut complete = named("job").count() == 2;
    for job in named("job") {
        line(&format!("attempt {}", attempt(job)), job);
        complete &= is_child(job, order);
    }
    for mail in named("mail") {
        line("handler", mail);
        complete &= named("job").any(|job| is_child(mail, job));
    }
    println!("one trace: {complete}");
    Ok(complete)
}

fn line(what: &str, span: &SpanData) {
    let (context, parent) = (&span.span_context, span.parent_span_id);
    println!("{what}: trace {} span {} parent {parent}", context.trace_id(), context.span_id());
}

fn is_child(span: &SpanData, parent: &SpanData) -> bool {
    span.parent_span_id == parent.span_context.span_id()
        && span.span_context.trace_id() == parent.span_context.trace_id()
}

/// Returns the attribute `attempt` of a job's span.
fn attempt(job: &SpanData) -> String {
    let attribute = job.attributes.iter().find(|attribute| attribute.key.as_str() == "attempt");
    attribute.map_or_else(|| "without number".to_owned(), |attribute| attribute.value.to_string())
}
