//! A change data capture (CDC) bridge: applies the changes in a Redis stream to a SQLite database,
//! each exactly once.
//!
//! `REDIS_URL=redis://127.0.0.1 cdc [--until-end] DATABASE`
//!
//! An entry of the stream `cdc:accounts` is a change of an account: `account 7 amount -250`. Up to
//! 1,000 entries are one transaction, which also stores the id of the last entry. A crash at any
//! moment loses the transaction or keeps it, so the next process continues with the entry behind
//! the last one that was applied. There is no group to acknowledge to: the position is where the
//! data is.
//!
//! Reading and writing overlap: while SQLite commits a batch, the next one is read.

use anyhow::{Context, bail};
use bourn::{Client, Code, Entries, EntryId, ReadFrom, XInfoStream, XRead};
use bourn_services::{log, redis_url, stop_signal};
use rusqlite::{Connection, OptionalExtension, params};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::oneshot;

const STREAM: &str = "cdc:accounts";

/// Entries of one read, and of one transaction.
const BATCH: u64 = 1_000;

/// The time that a read waits for entries.
const BLOCK: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS position (stream TEXT PRIMARY KEY, id TEXT NOT NULL, applied INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS accounts (account INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS changes (entry TEXT NOT NULL, account INTEGER NOT NULL, amount INTEGER NOT NULL);
";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let (mut path, mut until_end) = (None, false);
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--until-end" => until_end = true,
            _ => path = Some(arg),
        }
    }
    let path = path.context("usage: cdc [--until-end] DATABASE")?;
    let database = Connection::open(&path).with_context(|| format!("cannot open {path}"))?;
    database.execute_batch(SCHEMA)?;
    let position = position(&database)?;

    let client = Client::connect(redis_url()).await?;
    refuse_gap(&client, position).await?;
    tracing::info!("continuing after {}: {} entries are applied", position.id, position.applied);

    // SQLite blocks its thread, so it has one of its own. The channel holds the batch that is read
    // ahead.
    let (batches, received) = mpsc::channel(1);
    let (done, mut result) = oneshot::channel();
    let writer = thread::spawn(move || done.send(write(database, received)));
    let start = Instant::now();
    let read = tokio::select! {
        read = read(&client, position.id, until_end, batches) => read,
        () = stop_signal() => Ok(()),
        written = &mut result => return written?.map(drop),
    };
    // The sender is dropped: the writer commits what it was given and ends.
    let written = result.await?;
    let _ = writer.join();
    client.close().await;
    read?;
    let (count, seconds) = (written?, start.elapsed().as_secs_f64());
    println!("{count} entries in {seconds:.2} s: {:.0} entries/s", count as f64 / seconds);
    Ok(())
}

/// Reads batches until the end of the stream, or forever.
async fn read(
    client: &Client,
    mut position: EntryId,
    until_end: bool,
    batches: mpsc::Sender<Entries>,
) -> anyhow::Result<()> {
    let mut reader = client.reader().await?;
    loop {
        let read = XRead::new().stream(STREAM, ReadFrom::After(position)).count(BATCH);
        let result =
            if until_end { reader.read(read).await } else { reader.read(read.block(BLOCK)).await };
        let streams = match result {
            Ok(streams) => streams,
            Err(error) if error.code().is_none() => {
                // The connection was lost. Reads change nothing, and the reader connects again by
                // itself.
                tracing::warn!("cannot read, trying again: {error}");
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let Some(entries) = streams.into_streams().next().map(|stream| stream.into_entries())
        else {
            if until_end {
                return Ok(());
            }
            continue;
        };
        if let Some(last) = entries.last() {
            position = last.id();
        }
        if batches.send(entries).await.is_err() {
            // The writer has failed, and its error is the one to report.
            return Ok(());
        }
    }
}

/// Applies batches, each with its position in one transaction. Returns the number of entries.
fn write(mut database: Connection, mut batches: mpsc::Receiver<Entries>) -> anyhow::Result<u64> {
    let mut count = 0;
    while let Some(batch) = batches.blocking_recv() {
        let Some(last) = batch.last().map(|entry| entry.id()) else { continue };
        let transaction = database.transaction()?;
        {
            let mut change = transaction.prepare_cached(
                "INSERT INTO changes (entry, account, amount) VALUES (?1, ?2, ?3)",
            )?;
            let mut apply = transaction.prepare_cached(
                "INSERT INTO accounts (account, balance) VALUES (?1, ?2)
                 ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance",
            )?;
            for entry in batch.iter() {
                let number = |name| -> anyhow::Result<i64> {
                    let text = entry.get_str(name)?.with_context(|| format!("no field {name}"))?;
                    Ok(text.parse()?)
                };
                let fields = number("account").and_then(|account| Ok((account, number("amount")?)));
                let (account, amount) = fields.with_context(|| format!("entry {}", entry.id()))?;
                change.execute(params![entry.id().to_string(), account, amount])?;
                apply.execute(params![account, amount])?;
            }
            transaction.execute(
                "INSERT INTO position (stream, id, applied) VALUES (?1, ?2, ?3)
                 ON CONFLICT (stream) DO UPDATE SET id = excluded.id, applied = applied + excluded.applied",
                params![STREAM, last.to_string(), batch.len() as i64],
            )?;
        }
        transaction.commit()?;
        count += batch.len() as u64;
        tracing::debug!("applied {} entries up to {last}", batch.len());
    }
    Ok(count)
}

/// The progress of the database.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// The last entry that was applied.
    id: EntryId,
    /// The number of entries that were applied.
    applied: u64,
}

fn position(database: &Connection) -> anyhow::Result<Position> {
    let query = "SELECT id, applied FROM position WHERE stream = ?1";
    let row = database.query_row(query, [STREAM], |row| Ok((row.get(0)?, row.get(1)?)));
    let (id, applied): (String, i64) = row.optional()?.unwrap_or_else(|| ("0-0".to_owned(), 0));
    Ok(Position { id: id.parse()?, applied: applied.try_into()? })
}

/// Fails if entries were trimmed or deleted before they could be applied.
///
/// Trimming does not count as a deletion for the server, so the number of entries ever added is
/// compared.
async fn refuse_gap(client: &Client, position: Position) -> anyhow::Result<()> {
    let info = match client.send(XInfoStream::new(STREAM)).await {
        Ok(info) => info,
        // There is no stream yet.
        Err(error) if error.code() == Some(&Code::Err) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let Some(added) = info.entries_added else {
        tracing::warn!("Redis before 7.0 does not tell whether entries were trimmed");
        return Ok(());
    };
    let first = info.first_entry.map(|entry| entry.id());
    if first.is_none_or(|first| first > position.id) {
        // The remaining entries are not applied yet.
        let missing = added.saturating_sub(position.applied + info.length);
        if missing > 0 {
            bail!("{missing} entries behind {} were trimmed before they were applied", position.id);
        }
    }
    Ok(())
}
