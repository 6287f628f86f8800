//! An e-mail queue in five acts: jobs are enqueued, three workers share them, one worker process is
//! killed, two poison jobs become dead letters, and the dead letters are redriven.
//!
//! `scripts/demo` starts a private server for it. With a server of your own:
//! `REDIS_URL=redis://127.0.0.1 cargo run --manifest-path examples/demo/Cargo.toml -- --jobs 50000`
//!
//! The keys `email:tasks` and `email:dead-letter` must not exist there. They are removed at the
//! end, also after Ctrl-C.

mod acts;
mod mail;
mod show;
mod worker;

use bourn::queue::BoxError;
use bourn::{Client, Exists, Unlink};
use show::Show;
use std::process::ExitCode;
#[cfg(unix)]
use tokio::signal::unix;
use tokio_util::sync::CancellationToken;

/// The exit code after Ctrl-C, as a shell would have it.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |error| error.source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            eprintln!("demo: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, BoxError> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1".to_owned());
    let mut jobs = 10_000;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (&*arg, args.next().map(|number| number.parse())) {
            (worker::PROCESS, None) => {
                worker::run_process(&url).await?;
                return Ok(ExitCode::SUCCESS);
            }
            ("--jobs", Some(Ok(number))) if number >= 1_000 => jobs = number,
            _ => return Err("the only option is --jobs NUMBER, 1000 or more".into()),
        }
    }

    let client = Client::connect(&*url).await?;
    let keys = Exists::new(mail::STREAM).and(mail::DEAD_LETTERS);
    if client.send(keys).await? > 0 {
        let (stream, dead) = (mail::STREAM, mail::DEAD_LETTERS);
        return Err(format!("{stream} or {dead} exists on this server already; left alone").into());
    }

    let show = Show::new();
    show.catch_poison();
    let mut play = acts::Play::new(&client, &url, jobs, show.clone()).await?;
    let interrupt = CancellationToken::new();
    let on_interrupt = interrupt.clone();
    tokio::spawn(async move {
        signal().await;
        on_interrupt.cancel();
    });
    let result = tokio::select! {
        result = play.run() => Some(result),
        () = interrupt.cancelled() => None,
    };
    // A worker would create the group again, so all of them end before the keys are removed.
    show.clear();
    play.stop_workers().await;
    for key in play.keys() {
        client.send(Unlink::new(key)).await?;
    }
    client.close().await;
    match result {
        Some(Ok(true)) => Ok(ExitCode::SUCCESS),
        Some(Ok(false)) => Ok(ExitCode::FAILURE),
        Some(Err(error)) => Err(error),
        None => {
            println!("interrupted; the workers have stopped and the keys are removed");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Returns at Ctrl-C, and on Unix at SIGTERM.
async fn signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = unix::signal(unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    // Without a handler for signals there is nothing to wait for.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
