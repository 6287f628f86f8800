//! PING, ECHO, AUTH, HELLO, SELECT, RESET, QUIT. No I/O.

use super::super::state::{Key, State};
use super::super::store::{DATABASES, Release, Reply};
use super::super::users::DEFAULT;
use super::answer::Answer;
use super::arguments::{Arguments, syntax};
use bytes::Bytes;

const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
pub(super) const BAD_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/// `PING [text]`
pub(super) fn ping(_: &mut State, _: Key, args: Arguments<'_>) -> Answer {
    match args.len() {
        1 => Ok(Reply::Simple("PONG")),
        2 => Ok(Reply::Bulk(args.at(1).clone())),
        _ => Err(Reply::error("ERR wrong number of arguments for 'ping' command")),
    }
}

/// `ECHO text`
pub(super) fn echo(_: &mut State, _: Key, args: Arguments<'_>) -> Answer {
    Ok(Reply::Bulk(args.at(1).clone()))
}

/// `AUTH [user] password`
pub(super) fn auth(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    match args.len() {
        2 if state.users.default_has_no_password() => Err(Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. Are \
             you sure your configuration is correct?",
        )),
        2 => log_in(state, key, &Bytes::from_static(DEFAULT), args.at(1)),
        3 => log_in(state, key, args.at(1), args.at(2)),
        _ => Err(syntax()),
    }
}

fn log_in(state: &mut State, key: Key, user: &Bytes, password: &Bytes) -> Answer {
    if !state.users.accept(user, password) {
        return Err(Reply::error(WRONG));
    }
    if let Some(session) = state.session(key) {
        session.user = Some(user.clone());
    }
    Ok(Reply::Simple("OK"))
}

/// `HELLO [2 | 3] [AUTH user password] [SETNAME name]`
pub(super) fn hello(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    let mut resp3 = None;
    if args.len() > 1 {
        let version =
            args.integer_or(1, "ERR Protocol version is not an integer or out of range")?;
        resp3 = match version {
            2 => Some(false),
            3 => Some(true),
            _ => return Err(Reply::error("NOPROTO unsupported protocol version")),
        };
    }
    let (mut credentials, mut name) = (None, None);
    let mut index = 2;
    while index < args.len() {
        let more = args.len() - index - 1;
        if args.is(index, "AUTH") && more >= 2 {
            credentials = Some((args.at(index + 1), args.at(index + 2)));
            index += 3;
        } else if args.is(index, "SETNAME") && more >= 1 {
            name = Some(args.at(index + 1));
            index += 2;
        } else {
            let option = args.text(index);
            return Err(Reply::error(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = credentials {
        log_in(state, key, user, password)?;
    }
    let old = !state.release().has(Release::Redis7_2);
    let Some(session) = state.session(key) else { return Err(syntax()) };
    if session.user.is_none() {
        let proto = if old { "" } else { "<proto> " };
        return Err(Reply::error(format!(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
             {proto}AUTH <user> <pass> option can be used to authenticate the client and select the \
             RESP protocol version at the same time"
        )));
    }
    if let Some(name) = name {
        session.set_name(name).ok_or_else(|| Reply::error(BAD_NAME))?;
    }
    session.resp3 = resp3.unwrap_or(session.resp3);
    let (resp3, id) = (session.resp3, session.id);
    let release = state.release();
    let cluster = state.settings.is_on("cluster-enabled");
    let role = if state.is_replica(key) { "replica" } else { "master" };
    Ok(Reply::Map(
        [
            ("server", Reply::text(if release.is_valkey() { "valkey" } else { "redis" })),
            ("version", Reply::text(release.version())),
            ("proto", Reply::Integer(if resp3 { 3 } else { 2 })),
            ("id", Reply::Integer(id)),
            ("mode", Reply::text(if cluster { "cluster" } else { "standalone" })),
            ("role", Reply::text(role)),
            ("modules", Reply::empty()),
        ]
        .map(|(name, value)| (Reply::text(name), value))
        .into(),
    ))
}

/// `SELECT index`
pub(super) fn select(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    let index = args.integer(1)?;
    let index = u32::try_from(index).ok().filter(|index| *index < DATABASES);
    let index = index.ok_or_else(|| Reply::error("ERR DB index is out of range"))?;
    if index > 0 && state.settings.is_on("cluster-enabled") {
        return Err(Reply::error("ERR SELECT is not allowed in cluster mode"));
    }
    if let Some(session) = state.session(key) {
        session.db = index;
    }
    Ok(Reply::Simple("OK"))
}

/// `RESET`
pub(super) fn reset(state: &mut State, key: Key, _: Arguments<'_>) -> Answer {
    let user = state.users.is_open().then_some(Bytes::from_static(DEFAULT));
    if let Some(session) = state.session(key) {
        session.reset(user);
    }
    Ok(Reply::Simple("RESET"))
}

/// `QUIT`
pub(super) fn quit(state: &mut State, key: Key, _: Arguments<'_>) -> Answer {
    if let Some(session) = state.session(key) {
        session.closing = true;
    }
    Ok(Reply::Simple("OK"))
}
