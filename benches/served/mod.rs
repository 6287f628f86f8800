//! A client of a server in the same process that replies at once: the count does not depend on a
//! socket.

use bourn::resp::{Limits, Scanner};
use bourn::{Client, Config, EntryId, GroupFrom, Reader, XAck, XAdd, XReadGroup};
use std::future::ready;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Runs on one thread, without anything that depends on the clock.
pub(crate) fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(work);
}

/// Returns a client whose XREADGROUP returns these bytes.
pub(crate) async fn client(batch: Vec<u8>) -> Client {
    let dial = move || {
        let (ours, theirs) = duplex(1 << 20);
        tokio::spawn(serve(theirs, batch.clone()));
        ready(Ok(ours))
    };
    Client::connect_with(Config::tcp("served", 1), dial).await.expect("it answers")
}

/// Runs `tasks` tasks that each add `each` entries of 1 × 16 bytes, one after the other.
pub(crate) async fn xadd(client: &Client, tasks: usize, each: usize) {
    let add = |client: Client| async move {
        for _ in 0..each {
            let add = XAdd::new("orders").field("field0", "0123456789abcdef");
            let _: EntryId = client.send(add).await.expect("an id");
        }
    };
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(add(client.clone()))).collect();
    for task in tasks {
        task.await.expect("it ends");
    }
}

/// Reads `batches` batches, touches every field, and acknowledges each batch at once.
pub(crate) async fn drain(client: &Client, reader: &mut Reader, batches: usize) -> usize {
    let mut touched = 0;
    let mut ids = Vec::new();
    for _ in 0..batches {
        let read = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New);
        let streams = reader.read(read.count(100)).await.expect("entries");
        ids.clear();
        for entry in streams.iter() {
            touched += entry.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            ids.push(entry.id());
        }
        client.send(XAck::new("orders", "billing", &ids)).await.expect("a number");
    }
    touched
}

const HELLO: &[u8] = b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n8.10.2\r\n\
                       $5\r\nproto\r\n:3\r\n";

async fn serve(mut io: DuplexStream, batch: Vec<u8>) {
    let (mut input, mut output) = (Vec::with_capacity(1 << 20), Vec::with_capacity(1 << 20));
    let mut scanner = Scanner::new(Limits::default());
    while io.read_buf(&mut input).await.is_ok_and(|n| n > 0) {
        let mut start = 0;
        while let Ok(Some(len)) = scanner.scan(input.get(start..).unwrap_or_default()) {
            let request = input.get(start..start + len).unwrap_or_default();
            // `*N`, its line end, `$L`, its line end, the name.
            let name = request.splitn(4, |byte| *byte == b'\n').nth(2);
            output.extend_from_slice(match name {
                Some(b"XADD\r") => b"$15\r\n1700000000000-0\r\n",
                Some(b"XREADGROUP\r") => &batch,
                Some(b"XACK\r") => b":100\r\n",
                Some(b"HELLO\r") => HELLO,
                _ => b"+OK\r\n",
            });
            start += len;
        }
        input.drain(..start);
        if io.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}
