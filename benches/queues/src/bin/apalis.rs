//! apalis-redis: `apalis enqueue`, `apalis work`.

use apalis::prelude::*;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use futures::{StreamExt, stream};
use queues::Asked;
use redis::AsyncCommands;
use std::sync::Arc;

/// Its script moves all due jobs with one `unpack`, which fails from 8,000 on.
const AT_MOST: usize = 5_000;

fn main() {
    let asked = Asked::read();
    queues::runtime(&asked).block_on(run(asked));
}

async fn run(asked: Asked) {
    let connection = apalis_redis::connect(asked.url.as_str()).await.expect("a server");
    let defaults = Config::default().queue("noop");
    let tuned = defaults.clone().batch_size(256).emit_events(false);
    let config = match asked.setting.as_str() {
        "defaults" => defaults,
        "tuned" => tuned,
        "no locks" => tuned.lock_tasks(false),
        _ => tuned.lock_tasks(false).persist_results(false),
    };
    let storage = RedisStorage::<u64>::new(connection.clone()).with_config(config.clone());
    match asked.enqueue {
        true => enqueue(storage, connection, &config, asked.jobs).await,
        false => work(storage, asked).await,
    }
}

/// Enqueues jobs. Every job is due at once, but goes through the set of scheduled ones. The move
/// that its script would do at the worker's first fetch is done here, in parts, so that any number
/// works.
async fn enqueue(
    mut storage: RedisStorage<u64>,
    mut connection: ConnectionManager,
    config: &Config,
    jobs: u64,
) {
    let numbers: Vec<u64> = (0..jobs).collect();
    for part in numbers.chunks(AT_MOST) {
        storage.push_stream(&mut stream::iter(part.to_vec()).boxed()).await.expect("pushed");
        let due: Vec<String> =
            connection.zrange(config.scheduled_jobs_set(), 0, -1).await.expect("the scheduled");
        let _: () = connection.rpush(config.active_jobs_list(), &due).await.expect("moved");
        let _: () = connection.del(config.scheduled_jobs_set()).await.expect("moved");
    }
}

async fn work(storage: RedisStorage<u64>, asked: Asked) {
    let asked = Arc::new(asked);
    let counted = Arc::clone(&asked);
    let noop = move |_: u64| {
        let counted = Arc::clone(&counted);
        async move { counted.job() }
    };
    let worker = WorkerBuilder::new("worker-1").backend(storage);
    let stop = async {
        queues::stop_requested().await;
        Ok::<_, WorkerError>(())
    };
    match asked.setting.as_str() {
        "defaults" => worker.build(noop).run_until(stop).await,
        _ => worker.concurrency(64).build(noop).run_until(stop).await,
    }
    .expect("a worker");
}
