//! Faults that a test asks for.

use crate::{in_paused_time, settle};
use bourn::testing::{Fault, Server};
use bourn::{
    Client, Code, Config, EntryId, Error, GroupFrom, Outcome, Ping, ReadFrom, Retry, StartAt, XAdd,
    XAutoClaim, XGroupCreate, XLen, XRead, XReadGroup,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn add(n: u64) -> XAdd<'static> {
    XAdd::new("k").field("n", n)
}

fn config(server: &Server) -> Config {
    server.config().retry(Retry::Never).probe(None)
}

async fn start() -> (Server, Client) {
    let server = Server::new();
    let client = server.connect(config(&server)).await.unwrap();
    (server, client)
}

fn len(server: &Server) -> i64 {
    server.command("XLEN k").as_integer().expect("a length")
}

#[test]
fn error_is_the_reply_to_the_next_commands_that_fit() {
    in_paused_time(async {
        let (server, client) = start().await;
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        server.inject(Fault::error(full).times(2));
        client.send(XLen::new("k")).await.expect("a read needs no memory");
        for _ in 0..2 {
            let error = client.send(add(1)).await.unwrap_err();
            assert_eq!((error.code(), error.outcome()), (Some(&Code::Oom), Outcome::NotApplied));
        }
        client.send(add(1)).await.expect("the fault is used up");
        server.inject(Fault::error("LOADING later").on_command("XLEN").skip(1));
        client.send(XLen::new("k")).await.expect("the first one passes");
        client.send(Ping::new()).await.expect("another command");
        client.send(XLen::new("k")).await.unwrap_err();
    });
}

#[test]
fn error_in_a_transaction_discards_it() {
    in_paused_time(async {
        let (server, client) = start().await;
        server.inject(Fault::error("READONLY You can't write against a read only replica."));
        let error = client.transact((add(1), add(2))).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (Some(&Code::ReadOnly), Outcome::NotApplied));
        assert_eq!(len(&server), 0);
    });
}

#[test]
fn lost_reply_and_lost_command_leave_the_outcome_unknown() {
    in_paused_time(async {
        for (fault, ran) in [(Fault::lose_reply(), 1), (Fault::disconnect(), 0)] {
            for fault in [fault.clone(), fault.reset()] {
                let (server, client) = start().await;
                server.inject(fault.on_command("XADD"));
                let error = client.send(add(1)).await.unwrap_err();
                assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
                assert_eq!(len(&server), ran);
                client.send(add(2)).await.expect("the next connection works");
            }
        }
    });
}

#[test]
fn dropped_reply_is_found_by_the_client() {
    in_paused_time(async {
        let (server, client) = start().await;
        server.inject(Fault::drop_reply().on_command("XADD"));
        let error = client.send(add(1)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert_eq!(len(&server), 1);
    });
}

#[test]
fn request_is_cut_at_every_byte() {
    in_paused_time(async {
        let bytes = "*5\r\n$4\r\nXADD\r\n$1\r\nk\r\n$1\r\n*\r\n$1\r\nn\r\n$1\r\n1\r\n".len() as u64;
        for cut in 0..=bytes {
            let (server, client) = start().await;
            server.inject(Fault::cut_requests(cut));
            let added = client.send(add(1)).await;
            if cut < bytes {
                assert_eq!(added.unwrap_err().outcome(), Outcome::Unknown, "cut after {cut}");
            } else {
                added.expect("the whole request passes");
            }
            assert_eq!(len(&server), i64::from(cut == bytes), "cut after {cut}");
        }
    });
}

#[test]
fn reply_is_cut_at_every_byte() {
    in_paused_time(async {
        for reset in [false, true] {
            for cut in 0..22 {
                let (server, client) = start().await;
                let fault = Fault::cut_replies(cut);
                server.inject(if reset { fault.reset() } else { fault });
                let start = Instant::now();
                let added = client.send(add(1)).await;
                assert_eq!(added.unwrap_err().outcome(), Outcome::Unknown, "cut after {cut}");
                assert_eq!(start.elapsed(), Duration::ZERO, "the connection ends at once");
                assert_eq!(len(&server), 1);
            }
        }
    });
}

#[test]
fn fault_of_a_connection_spares_the_others() {
    in_paused_time(async {
        let (server, client) = start().await;
        let other = server.connect(config(&server)).await.unwrap();
        let id = other.connection_id().unwrap();
        server.inject(Fault::cut_requests(5).on_connection(id));
        server.inject(Fault::stall_replies(SECOND).on_connection(id));
        let start = Instant::now();
        client.send(add(1)).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        other.send(add(2)).await.unwrap_err();
        assert_eq!(start.elapsed(), SECOND, "the end arrives after the stall");
    });
}

#[test]
fn stalled_bytes_arrive_after_the_stall() {
    in_paused_time(async {
        for (fault, ran) in [(Fault::stall_requests(SECOND), 0), (Fault::stall_replies(SECOND), 1)]
        {
            let (server, client) = start().await;
            let start = Instant::now();
            server.inject(fault);
            let adding = tokio::spawn(async move { client.send(add(1)).await });
            settle().await;
            assert_eq!(len(&server), ran, "whether it runs during the stall");
            adding.await.unwrap().unwrap();
            assert_eq!((start.elapsed(), len(&server)), (SECOND, 1));
        }
    });
}

#[test]
fn connection_that_is_opened_during_a_stall_is_stalled() {
    in_paused_time(async {
        for fault in [Fault::stall_requests(SECOND), Fault::stall_replies(SECOND)] {
            let server = Server::new();
            server.inject(fault);
            let start = Instant::now();
            server.client().await.unwrap();
            assert_eq!(start.elapsed(), SECOND);
        }
    });
}

#[test]
fn stall_without_end_is_ended_by_the_test() {
    in_paused_time(async {
        let (server, client) = start().await;
        server.inject(Fault::stall_replies(Duration::MAX));
        let error = client.send(add(1)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        server.clear_faults();
        client.send(add(2)).await.unwrap();
    });
}

#[test]
fn stalled_writes_wait_for_room() {
    in_paused_time(async {
        let server = Server::new();
        let mut connection = server.dial().unwrap();
        server.inject(Fault::stall_requests(SECOND));
        let start = Instant::now();
        let request = format!("*2\r\n$4\r\nECHO\r\n$1000000\r\n{}\r\n", "x".repeat(1_000_000));
        connection.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(start.elapsed(), SECOND);
        let mut reply = vec![0; 1_000_012];
        connection.read_exact(&mut reply).await.unwrap();
    });
}

#[test]
fn refused_connections_are_tried_again() {
    in_paused_time(async {
        let (server, client) = start().await;
        server.inject(Fault::refuse_connection().times(3));
        server.disconnect_all();
        settle().await;
        assert!(server.client().await.is_err());
        client.ready(60 * SECOND).await.unwrap();
        client.send(add(1)).await.unwrap();
    });
}

#[test]
fn crash_loses_what_was_not_synced() {
    in_paused_time(async {
        let (server, client) = start().await;
        client.send(add(1)).await.unwrap();
        server.sync();
        client.send(add(2)).await.unwrap();
        server.restart();
        assert_eq!(len(&server), 2);
        server.crash();
        assert_eq!(len(&server), 1);
        client.send(add(3)).await.unwrap();
        assert_eq!(len(&server), 2);
    });
}

#[test]
fn crash_loses_nothing_if_every_write_is_synced() {
    in_paused_time(async {
        let builder = Server::builder().setting("appendonly", "yes");
        let server = builder.setting("appendfsync", "always").build();
        let client = server.client().await.unwrap();
        client.send(add(1)).await.unwrap();
        server.crash();
        assert_eq!(len(&server), 1);
    });
}

#[test]
fn stopped_server_refuses_until_it_is_started() {
    in_paused_time(async {
        let (server, client) = start().await;
        server.stop();
        assert_eq!((server.connections(), server.dial().is_err()), (0, true));
        let start = Instant::now();
        let adding = tokio::spawn(async move { client.send(add(1)).await });
        sleep(SECOND).await;
        server.start();
        adding.await.unwrap().unwrap();
        assert!(start.elapsed() >= SECOND);
    });
}

#[test]
fn failover_loses_what_was_not_replicated_and_demotes_old_connections() {
    in_paused_time(async {
        let (server, client) = start().await;
        client.send(XGroupCreate::new("k", "g", bourn::StartAt::START).mk_stream()).await.unwrap();
        client.send(add(1)).await.unwrap();
        server.replicate();
        client.send(add(2)).await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let read = XRead::new().stream("k", ReadFrom::End).block_forever();
        let reading = tokio::spawn(async move { reader.read(read).await.map(|read| read.len()) });
        while server.blocked() == 0 {
            settle().await;
        }
        let mut raw = server.dial().unwrap();
        server.fail_over();
        assert_eq!(len(&server), 1);
        let unblocked = reading.await.unwrap().unwrap_err();
        assert_eq!(unblocked.code().map(ToString::to_string).as_deref(), Some("UNBLOCKED"));
        raw.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n").await.unwrap();
        let mut reply = [0; 9];
        raw.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"-READONLY");
        server.disconnect_all();
        client.send(add(3)).await.expect("a new connection is with the new master");
    });
}

/// No command of a batch is sent again, and no command within so short a time.
#[test]
fn connection_to_an_old_master_is_replaced_after_any_refused_write() {
    for row in ["batch", "short", "transaction"] {
        for retry in [Retry::Safe, Retry::Never] {
            in_paused_time(async {
                let server = Server::new();
                let client = server.connect(server.config().retry(retry)).await.unwrap();
                sleep(10 * SECOND).await;
                server.fail_over();
                let is_refused = match row {
                    "batch" => client.send_all([add(1), add(2)]).await.iter().all(Result::is_err),
                    "short" => client.send(add(1)).within(SECOND / 20).await.is_err(),
                    _ => client.transact((add(1),)).within(SECOND / 20).await.is_err(),
                };
                assert!(is_refused, "{row}, {retry:?}");
                sleep(SECOND).await;
                client.send(add(3)).within(SECOND / 20).await.expect("the new master");
                assert_eq!(len(&server), 1, "{row}, {retry:?}");
            });
        }
    }
}

#[test]
fn reader_at_an_old_master_gets_another_connection_after_any_refused_command() {
    for is_read in [false, true] {
        for retry in [Retry::Safe, Retry::Never] {
            in_paused_time(async {
                let server = Server::new();
                let client = server.connect(server.config().retry(retry)).await.unwrap();
                client.send(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await.unwrap();
                let mut reader = client.reader().await.unwrap();
                server.replicate();
                sleep(10 * SECOND).await;
                server.fail_over();
                let read = || XReadGroup::new("g", "me").stream("k", GroupFrom::New);
                let claim = || XAutoClaim::new("k", "g", "me", SECOND, EntryId::MIN);
                let is_refused = if is_read {
                    reader.read(read()).within(SECOND / 20).await.is_err()
                } else {
                    reader.send(claim()).await.is_err()
                };
                assert!(is_refused, "{is_read}, {retry:?}");
                sleep(SECOND).await;
                reader.read(read()).within(SECOND / 20).await.expect("the new master");
                reader.send(claim()).await.expect("the new master");
            });
        }
    }
}

#[test]
fn dropped_client_ends_its_connection_and_its_read() {
    in_paused_time(async {
        let (server, client) = start().await;
        let mut reader = client.reader().await.unwrap();
        let read = XRead::new().stream("k", ReadFrom::START).block_forever();
        let reading = tokio::spawn(async move { reader.read(read).await.map(drop) });
        while server.blocked() == 0 {
            settle().await;
        }
        reading.abort();
        settle().await;
        assert_eq!((server.blocked(), server.connections()), (0, 1));
        drop(client);
        settle().await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn commands_after_a_protocol_error_are_not_run() {
    in_paused_time(async {
        let server = Server::new();
        let mut connection = server.dial().unwrap();
        connection.write_all(b"*1\r\n:5\r\n*1\r\n$8\r\nFLUSHALL\r\n").await.unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).await.unwrap();
        assert_eq!(reply, "-ERR Protocol error: expected '$'\r\n");
        assert!(server.requests().is_empty());
        let error = connection.write_all(b"*1\r\n").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn error_of_a_refused_connection_names_the_reason() {
    in_paused_time(async {
        let server = Server::new();
        server.inject(Fault::refuse_connection());
        let error = server.client().await.unwrap_err();
        assert!(
            matches!(error, Error::Connect(_)) && error.to_string().contains("refused"),
            "{error}"
        );
    });
}
