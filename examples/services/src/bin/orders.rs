//! A web service that accepts orders and enqueues them.
//!
//! `REDIS_URL=redis://127.0.0.1 LISTEN=127.0.0.1:8080 orders`
//!
//! * `POST /orders` with `{"sku":"A-7","count":3}` enqueues an order: 202 with the job's id. With
//!   the header `Idempotency-Key` a repeated request gets the id of the first one (Redis 8.6).
//! * `GET /health` is 200 while there is a connection to Redis, and 503 otherwise. It never waits.
//! * `GET /metrics` has the metrics of the queue for Prometheus.
//! * SIGTERM ends it gracefully: no new requests, orders in flight complete, others stay in the
//!   queue.
//!
//! The service starts without Redis and serves `/health` and `/metrics` from the beginning.

use anyhow::Context;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bourn::queue::{Enqueue, Job, Producer, Queue, QueueError, Record, SettingsError};
use bourn::{Client, Config, Outcome};
use bourn_services::{log, redis_url, stop_signal};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "orders";

/// The time that a request waits for Redis.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time that jobs in flight have after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    sku: String,
    count: u32,
}

#[derive(Clone)]
struct App {
    client: Client,
    /// Empty until the queue could be opened.
    producer: Arc<OnceLock<Producer<Order>>>,
    metrics: PrometheusHandle,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let config: Config = redis_url().parse().context("REDIS_URL")?;
    let client = Client::lazy(config.command_timeout(PATIENCE))?;
    let app = App { client, producer: Arc::default(), metrics };

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener =
        TcpListener::bind(&listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening on http://{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let worker = tokio::spawn(work(app.clone(), stop.clone()));
    let on_stop = stop.clone();
    let shutdown = async move {
        stop_signal().await;
        on_stop.cancel();
    };
    let router = Router::new()
        .route("/orders", post(add))
        .route("/health", get(health))
        .route("/metrics", get(render))
        .with_state(app.clone());
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await?;
    stop.cancel();
    worker.await??;
    app.client.close().await;
    println!("stopped");
    Ok(())
}

/// Opens the queue when Redis is there, and processes orders until `stop`.
async fn work(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let queue: Queue<Order> = loop {
        let opened = tokio::select! {
            opened = Queue::builder(&app.client, STREAM).open(Record) => opened,
            () = stop.cancelled() => return Ok(()),
        };
        match opened {
            Ok(queue) => break queue,
            Err(error @ QueueError::Settings(_)) => return Err(error.into()),
            Err(error) => tracing::warn!("the queue is not open yet: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let _ = app.producer.set(queue.producer());
    // The exporter's histograms keep every sample until they are rendered or drained.
    let upkeep = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            app.metrics.run_upkeep();
        }
    };
    let worker = queue.worker().concurrency(8).grace(GRACE).run(stop.cancelled(), process);
    tokio::select! {
        report = worker => println!("worker: {}", report?),
        () = upkeep => {}
    }
    Ok(())
}

/// Processes one order.
async fn process(order: Job<Order>) -> anyhow::Result<()> {
    anyhow::ensure!(order.count > 0, "an order of nothing");
    // The warehouse would be called here, with `order.idempotency_key()`.
    tokio::time::sleep(Duration::from_millis(100)).await;
    tracing::info!("processed {} × {}", order.count, order.sku);
    Ok(())
}

async fn add(State(app): State<App>, headers: HeaderMap, Json(order): Json<Order>) -> Response {
    let Some(producer) = app.producer.get() else {
        return unavailable("the order was not taken: no connection to Redis yet");
    };
    let mut options = Enqueue::new();
    if let Some(key) = headers.get("idempotency-key") {
        options = options.unique(key.as_bytes());
    }
    let enqueued = match timeout(PATIENCE, producer.enqueue_with(&order, options)).await {
        Ok(enqueued) => enqueued,
        Err(_) => {
            return unavailable("the order may have been taken: Redis did not answer in time");
        }
    };
    match enqueued {
        Ok(id) => (StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() }))).into_response(),
        Err(QueueError::Settings(SettingsError::TooOld(feature))) => {
            (StatusCode::NOT_IMPLEMENTED, format!("the Redis server is too old for {feature}"))
                .into_response()
        }
        Err(error) => {
            tracing::error!("cannot enqueue an order: {error}");
            match error.outcome() {
                Outcome::Unknown => unavailable("the order may have been taken"),
                _ => unavailable("the order was not taken"),
            }
        }
    }
}

fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn health(State(app): State<App>) -> Response {
    if app.client.is_connected() {
        "connected".into_response()
    } else {
        unavailable("no connection to Redis")
    }
}

async fn render(State(app): State<App>) -> String {
    app.metrics.render()
}
