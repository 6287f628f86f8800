//! The e-mails, the queue that they wait in, the handler that sends one, and the ledger of what was
//! sent.

use bourn::Client;
use bourn::queue::{Fail, Flat, Job, Queue, QueueError, RetryPolicy};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub const STREAM: &str = "email:tasks";
pub const GROUP: &str = "email-workers";
pub const DEAD_LETTERS: &str = "email:dead-letter";

/// The time without a heartbeat after which a worker's jobs are delivered to others.
pub const LEASE: Duration = Duration::from_secs(2);

/// E-mails that a worker sends at the same time.
pub const CONCURRENCY: usize = 10;

pub const MAX_ATTEMPTS: u32 = 3;

/// The start of the panic message of a poison job. The panic hook recognises it by this text.
pub const POISON: &str = "poison job";

const TEMPLATES: [&str; 3] = ["welcome", "reset_password", "invoice"];

/// The time that the mail server takes for one e-mail.
const SMTP: Duration = Duration::from_millis(10);

/// A job: `user_id 123 template welcome amount 10`, each pair a field of the entry.
pub type Email = BTreeMap<String, String>;

/// The e-mail of one user. The templates take turns.
pub fn email(user: u64) -> Email {
    let template = TEMPLATES.into_iter().cycle().nth((user % 3) as usize).unwrap_or_default();
    custom_email(user, template, "10")
}

/// An e-mail with any template and amount.
pub fn custom_email(user: u64, template: &str, amount: &str) -> Email {
    [("user_id", &*user.to_string()), ("template", template), ("amount", amount)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Opens the queue. Every process that takes part opens it with the same settings.
pub async fn open(client: &Client) -> Result<Queue<Email>, QueueError> {
    let retry = RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(200));
    Queue::builder(client, STREAM)
        .group(GROUP)
        .dead_letter(DEAD_LETTERS)
        .lease(LEASE)
        .retry(retry.max_attempts(MAX_ATTEMPTS))
        .open(Flat)
        .await
}

/// The result of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    Sent,
    /// The mail server was busy: the queue retries the job.
    Refused,
}

/// Sends one e-mail and reports the result.
///
/// A busy mail server is an error to retry. An unknown template is a permanent error. An amount
/// that is not a number is a bug of this handler: it panics. `is_fixed` is the handler without the
/// last two.
pub async fn send(
    job: &Job<Email>,
    is_fixed: bool,
    report: impl Fn(u64, Attempt),
) -> Result<(), Fail> {
    let field = |name: &str| job.get(name).map(String::as_str).unwrap_or_default();
    let user: u64 = field("user_id").parse()?;
    let (template, amount) = (field("template"), field("amount"));
    if !is_fixed {
        if !TEMPLATES.contains(&template) {
            return Err(Fail::dead(format!("no template is called {template:?}")));
        }
        if amount.parse::<u32>().is_err() {
            panic!("{POISON}: the amount {amount:?} is not a number");
        }
    }
    if user % 50 == 7 && job.attempt() == 1 {
        report(user, Attempt::Refused);
        return Err(Fail::retry("the mail server is busy"));
    }
    tokio::time::sleep(SMTP).await;
    report(user, Attempt::Sent);
    Ok(())
}

/// The number of e-mails that each user was sent.
#[derive(Debug, Default)]
pub struct Ledger {
    times: Mutex<HashMap<u64, u32>>,
    refused: Mutex<u64>,
}

impl Ledger {
    /// Records a result. Returns whether it is the user's first e-mail.
    pub fn record(&self, user: u64, attempt: Attempt) -> bool {
        match attempt {
            Attempt::Sent => {
                let mut times = lock(&self.times);
                let times = times.entry(user).or_default();
                *times += 1;
                *times == 1
            }
            Attempt::Refused => {
                *lock(&self.refused) += 1;
                false
            }
        }
    }

    /// Returns the number of users that were sent an e-mail.
    pub fn sent(&self) -> u64 {
        lock(&self.times).len() as u64
    }

    /// Returns the number of users that were sent the same e-mail again.
    pub fn sent_again(&self) -> u64 {
        lock(&self.times).values().filter(|times| **times > 1).count() as u64
    }

    /// Returns the number of attempts that the mail server refused.
    pub fn refused(&self) -> u64 {
        *lock(&self.refused)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
