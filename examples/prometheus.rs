//! Serves the queue's metrics for Prometheus at `http://127.0.0.1:PORT/metrics`, while a worker
//! runs jobs.
//!
//! `cargo run --release --features metrics --example prometheus -- [--port PORT] [--once] [URL]`
//!
//! It runs until Ctrl-C; with `--once` until it has scraped all expected metrics from itself. Any
//! recorder of the `metrics` crate can be used. This one is metrics-exporter-prometheus, which
//! renders the text, and thirty lines that serve it.

use bourn::queue::{BoxError, Fail, Flat, Job, Queue};
use bourn::{Client, Exists, Unlink};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const STREAM: &str = "prometheus:jobs";
const DEAD: &str = "prometheus:dead";
const NAMES: [&str; 4] = [
    "redis_streams_processed",
    "redis_streams_duration_seconds",
    "redis_streams_length",
    "redis_streams_pending",
];
const BUCKETS: [f64; 6] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

type Pairs = Vec<(String, String)>;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let (mut url, mut port, mut once) = ("redis://127.0.0.1".to_owned(), 9464, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--once" => once = true,
            "--port" => port = args.next().ok_or("--port takes a number")?.parse()?,
            _ => url = arg,
        }
    }
    let client = Client::connect(url).await?;
    if client.send(Exists::new(STREAM).and(DEAD)).await? > 0 {
        return Err(format!("{STREAM} or {DEAD} is on this server: left alone").into());
    }
    let duration = Matcher::Full("redis_streams_duration_seconds".into());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(duration, &BUCKETS)?;
    let metrics = builder.install_recorder()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("http://{address}/metrics");
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        // The samples must be moved into buckets even if no client scrapes.
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    tokio::spawn(serve(listener, metrics));

    let result = work(&client, address, once).await;
    let queue: Queue<Pairs> = Queue::builder(&client, STREAM).dead_letter(DEAD).open_lazy(Flat)?;
    for key in queue.keys() {
        client.send(Unlink::new(key)).await?;
    }
    client.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn work(client: &Client, address: SocketAddr, once: bool) -> Result<(), BoxError> {
    let queue: Queue<Pairs> = Queue::builder(client, STREAM).dead_letter(DEAD).open(Flat).await?;
    let producer = queue.producer();
    let produce = async {
        for n in 0.. {
            producer.enqueue(&vec![("n".to_owned(), n.to_string())]).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok::<(), BoxError>(())
    };
    let stop = async {
        tokio::select! {
            result = produce => result,
            result = scraped(address), if once => result,
            result = tokio::signal::ctrl_c() => Ok(result?),
        }
    };
    let (send, received) = tokio::sync::oneshot::channel();
    let stop = async { send.send(stop.await) };
    let report = queue.worker().run(stop, |job: Job<Pairs>| async move {
        let wait = job.id().ms() % 30;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if wait == 7 { Err(Fail::dead("the seventh millisecond")) } else { Ok(()) }
    });
    println!("{}", report.await?);
    received.await?
}

/// Scrapes until all four metrics are present. Gauges are read from the server about every ten
/// seconds.
async fn scraped(address: SocketAddr) -> Result<(), BoxError> {
    loop {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let mut lines: Vec<&str> = text.lines().filter(|line| line.contains('{')).collect();
        if NAMES.iter().all(|name| lines.iter().any(|line| line.starts_with(name))) {
            lines.sort_unstable();
            lines.iter().for_each(|line| println!("{line}"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A minimal HTTP server: every request returns the metrics.
async fn serve(listener: TcpListener, metrics: PrometheusHandle) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let text = metrics.render();
        tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && request.len() < 8_192 {
                request.push(stream.read_u8().await?);
            }
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close";
            let length = text.len();
            stream
                .write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n{text}").as_bytes())
                .await?;
            stream.shutdown().await
        });
    }
}
