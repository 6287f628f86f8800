//! CLIENT and HELLO commands, and commands for a dedicated connection.

use super::{SECOND, check};
use bourn::command::{encode, encode_dedicated};
use bourn::{
    Auth, Block, ClientGetName, ClientId, ClientKill, ClientNoEvict, ClientPause, ClientSetName,
    ClientUnblock, ClientUnpause, Command, DedicatedCommand, Hello, RespVersion, Wait, WaitAof,
};

#[test]
fn client_commands_encode_every_option() {
    check([
        (encode(&ClientId::new()), "CLIENT ID"),
        (encode(&ClientGetName::new()), "CLIENT GETNAME"),
        (encode(&ClientKill::new(7)), "CLIENT KILL ID 7"),
        (encode(&ClientKill::new(7).skip_me(true)), "CLIENT KILL ID 7 SKIPME yes"),
        (encode(&ClientKill::new(7).skip_me(false)), "CLIENT KILL ID 7 SKIPME no"),
        (encode(&ClientUnblock::new(7)), "CLIENT UNBLOCK 7"),
        (encode(&ClientUnblock::new(-7).error()), "CLIENT UNBLOCK -7 ERROR"),
        (encode(&ClientPause::new(SECOND)), "CLIENT PAUSE 1000"),
        (encode(&ClientPause::new(SECOND).write_only()), "CLIENT PAUSE 1000 WRITE"),
        (encode(&ClientUnpause::new()), "CLIENT UNPAUSE"),
    ]);
    assert!(ClientKill::new(0).refused().is_some(), "id 0 would kill all others");
}

#[test]
fn dedicated_commands_encode_every_option() {
    let hello = |version| Hello::new().protocol(version);
    check([
        (encode_dedicated(&Auth::new("secret")), "AUTH secret"),
        (encode_dedicated(&Auth::new("secret").user("u")), "AUTH u secret"),
        (encode_dedicated(&ClientSetName::new("n")), "CLIENT SETNAME n"),
        (encode_dedicated(&ClientNoEvict::on()), "CLIENT NO-EVICT ON"),
        (encode_dedicated(&ClientNoEvict::off()), "CLIENT NO-EVICT OFF"),
        (encode_dedicated(&Hello::new()), "HELLO"),
        (encode_dedicated(&hello(RespVersion::Resp2)), "HELLO 2"),
        (encode_dedicated(&hello(RespVersion::Resp3).auth("u", "secret")), "HELLO 3 AUTH u secret"),
        (encode_dedicated(&hello(RespVersion::Resp3).set_name("n")), "HELLO 3 SETNAME n"),
        (
            encode_dedicated(&hello(RespVersion::Resp2).set_name("n").auth("u", "secret")),
            "HELLO 2 AUTH u secret SETNAME n",
        ),
    ]);
    assert_eq!(hello(RespVersion::Resp3).set_name("n").dedicated_refused(), None);
    assert!(
        Hello::new().set_name("n").dedicated_refused().is_some(),
        "the name would be read as a version"
    );
    assert!(Hello::new().auth("u", "secret").dedicated_refused().is_some());
}

#[test]
fn wait_commands_encode_counts_and_timeout() {
    check([
        (encode_dedicated(&Wait::new(1, Block::For(SECOND))), "WAIT 1 1000"),
        (encode_dedicated(&Wait::new(0, Block::Forever)), "WAIT 0 0"),
        (encode_dedicated(&WaitAof::new(true, 2, Block::For(SECOND))), "WAITAOF 1 2 1000"),
        (encode_dedicated(&WaitAof::new(false, 1, Block::Forever)), "WAITAOF 0 1 0"),
    ]);
    assert_eq!(Wait::new(1, Block::For(SECOND)).dedicated_waits(), Some(Block::For(SECOND)));
    assert_eq!(WaitAof::new(true, 0, Block::Forever).dedicated_waits(), Some(Block::Forever));
}
