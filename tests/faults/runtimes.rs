//! Deadlines and waits where the connection's runtime is blocked, differs from the caller's, or is
//! missing.
//!
//! These tests take real time, because they block real threads: one second in all.

use super::peer::hello_reply;
use bourn::resp::{Limits, Scanner};
use bourn::{Client, Config, ConfigError, Echo, Error, Outcome, Ping, ReadFrom, Retry, XRead};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// An executor that is not tokio's.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Answers the handshake, then each request with `reply`, or nothing.
async fn serve(mut stream: DuplexStream, reply: Option<&'static str>) {
    let (mut input, mut scanner, mut seen) =
        (bytes::BytesMut::new(), Scanner::new(Limits::default()), 0);
    while stream.read_buf(&mut input).await.unwrap_or(0) > 0 {
        while let Some(len) = scanner.scan(&input).unwrap() {
            let _ = input.split_to(len);
            let answer = match seen {
                0 => hello_reply(1),
                1 | 2 => "+OK\r\n".to_owned(),
                _ => reply.unwrap_or_default().to_owned(),
            };
            seen += 1;
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// A dialler whose servers run on `runtime`.
fn dialler(
    runtime: &Runtime,
    reply: Option<&'static str>,
) -> impl Fn() -> std::future::Ready<std::io::Result<DuplexStream>> + Send + Sync + 'static {
    let runtime = runtime.handle().clone();
    move || {
        let (near, far) = duplex(1 << 20);
        runtime.spawn(serve(far, reply));
        std::future::ready(Ok(near))
    }
}

fn config() -> Config {
    Config::tcp("scripted", 1).command_timeout(MS(300)).retry(Retry::Never)
}

fn threads(n: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(n).enable_all().build().unwrap()
}

#[test]
fn call_ends_in_time_while_a_task_blocks_the_drivers_thread() {
    let servers = threads(1);
    let runtime = threads(2);
    let dial = dialler(&servers, None);
    let late = runtime.block_on(async move {
        let client = Client::connect_with(config().command_timeout(MS(200)), dial).await.unwrap();
        // With many calls in flight, the driver writes, and is woken to do so.
        let many: Vec<_> = (0..64)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.send(Ping::new()).await.is_err() })
            })
            .collect();
        for call in many {
            assert!(call.await.unwrap());
        }
        let blocking = client.clone();
        let blocked = tokio::spawn(async move {
            let mut calls = [pin!(blocking.send(Ping::new())), pin!(blocking.send(Ping::new()))];
            poll_fn(|cx| {
                for call in &mut calls {
                    assert!(call.as_mut().poll(cx).is_pending());
                }
                Poll::Ready(())
            })
            .await;
            thread::sleep(MS(1500));
        });
        tokio::time::sleep(MS(50)).await;
        let other = client.clone();
        let late = tokio::spawn(async move {
            let start = Instant::now();
            let result = other.send(Ping::new()).within(MS(200)).await;
            assert!(result.is_err());
            start.elapsed()
        })
        .await
        .unwrap();
        let _ = blocked.await;
        late
    });
    // The thread stays blocked for another 1.4 s.
    assert!(late >= MS(200) && late < MS(1000), "{late:?}");
}

#[test]
fn other_executors_send_wait_for_budget_and_back_off() {
    let runtime = threads(1);
    let mute = runtime.block_on(async {
        Client::connect_with(config().budget_bytes(1100), dialler(&runtime, None)).await.unwrap()
    });
    let first = mute.clone();
    let first = thread::spawn(move || block_on(first.send(Echo::new(&[0; 900]))).unwrap_err());
    thread::sleep(MS(50));
    // The budget is used up: the call waits within its deadline, in a thread without a runtime.
    let start = Instant::now();
    let error = block_on(mute.send(Ping::new()).within(MS(100))).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error:?}");
    assert!(start.elapsed() >= MS(100) && start.elapsed() < MS(1000), "{:?}", start.elapsed());
    assert_eq!(first.join().unwrap().outcome(), Outcome::Unknown);

    let loading = runtime.block_on(async {
        let dial = dialler(&runtime, Some("-LOADING soon\r\n"));
        Client::connect_with(config().retry(Retry::Safe), dial).await.unwrap()
    });
    let start = Instant::now();
    let error = block_on(loading.send(Ping::new())).unwrap_err();
    assert_eq!(error.code(), Some(&bourn::Code::Loading), "{error:?}");
    // Two pauses at least, of 10 and of 20 ms.
    assert!(start.elapsed() >= MS(30), "it was retried after a pause");

    let answers = runtime.block_on(async {
        Client::connect_with(config(), dialler(&runtime, Some("+PONG\r\n"))).await.unwrap()
    });
    block_on(answers.send(Ping::new())).unwrap();
    block_on(async { answers.send_all((Ping::new(), Ping::new())).await.0.unwrap() });
    // A client's reader runs on the client's runtime.
    let mut reader = block_on(answers.reader()).unwrap();
    let read = XRead::new().stream("s", ReadFrom::START).block(MS(10));
    assert!(
        matches!(block_on(reader.read(read)), Err(Error::Decode { .. })),
        "PONG is not a stream reply"
    );
}

#[test]
fn client_outside_a_runtime_needs_a_configured_runtime() {
    let runtime = threads(1);
    let without = block_on(Client::connect_with(config(), dialler(&runtime, None))).unwrap_err();
    assert!(matches!(without, Error::Config(ConfigError::NoRuntime)), "{without:?}");
    let without = Client::lazy_with(config(), dialler(&runtime, None)).unwrap_err();
    assert!(matches!(without, Error::Config(ConfigError::NoRuntime)), "{without:?}");
    let config = || config().runtime(runtime.handle().clone());
    let reply = Some("+PONG\r\n");
    let client = block_on(Client::connect_with(config(), dialler(&runtime, reply))).unwrap();
    block_on(client.send(Ping::new())).unwrap();
    let lazy = Client::lazy_with(config(), dialler(&runtime, reply)).unwrap();
    block_on(lazy.ready(MS(5000))).unwrap();
    block_on(lazy.send(Ping::new())).unwrap();
    // From another runtime, the connection still uses the configured one.
    let idle = Builder::new_current_thread().build().unwrap();
    let other = idle.block_on(Client::connect_with(config(), dialler(&runtime, reply))).unwrap();
    drop(idle);
    block_on(other.send(Ping::new())).unwrap();
}

#[test]
fn runtime_shutdown_ends_the_client() {
    let (servers, runtime) = (threads(1), threads(1));
    let dial = dialler(&servers, None);
    let client = runtime.block_on(Client::connect_with(config(), dial)).unwrap();
    let waiting = client.clone();
    let waiting = thread::spawn(move || block_on(waiting.send(Ping::new()).within(MS(60_000))));
    thread::sleep(MS(50));
    runtime.shutdown_background();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    let error = block_on(client.send(Ping::new())).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error:?}");
}
