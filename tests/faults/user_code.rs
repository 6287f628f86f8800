//! The `args` of a user's command may use the client, send, or panic. No other caller is affected.

use super::peer::{Server, config, ends, in_paused_time};
use bourn::resp::{Args, Frame};
use bourn::{Client, Command, DecodeError, Safety, XLen};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

/// Uses the client while its arguments are listed.
struct Nested(Client);

impl Command for Nested {
    const NAME: &'static str = "NESTED";
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        assert!(self.0.is_connected() && self.0.server().is_some());
        // Listed twice, to measure and to write: two commands, both dropped after they were sent.
        let send = pin!(self.0.send(XLen::new("inner")));
        assert!(send.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        out.text("outer");
    }

    fn reply(_: Frame) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// Panics the second time its arguments are listed.
struct Panics(std::cell::Cell<u32>);

impl Command for Panics {
    const NAME: &'static str = "PANICS";
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        out.text("half");
        self.0.set(self.0.get() + 1);
        assert!(self.0.get() < 2, "a bug in user code");
        out.text("whole");
    }

    fn reply(_: Frame) -> Result<(), DecodeError> {
        Ok(())
    }
}

#[test]
fn command_that_uses_its_client_does_not_block_it() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let (sent, ()) = ends(async {
            tokio::join!(client.send(Nested(client.clone())), async {
                for request in ["XLEN inner", "XLEN inner", "NESTED outer"] {
                    assert_eq!(peer.answer(":1\r\n").await, request);
                }
            })
        })
        .await;
        sent.unwrap();
    });
}

#[test]
fn command_that_panics_while_encoded_leaves_no_bytes() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        for _ in 0..3 {
            let mut call = Box::pin(client.send(Panics(std::cell::Cell::new(0))));
            let polled = catch_unwind(AssertUnwindSafe(|| {
                let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }));
            assert!(polled.is_err());
        }
        let (len, request) = tokio::join!(client.send(XLen::new("s")), peer.answer(":3\r\n"));
        assert_eq!((len.unwrap(), request.as_str()), (3, "XLEN s"));
        assert_eq!((client.requests_in_flight(), client.bytes_in_flight()), (0, 0));
    });
}
