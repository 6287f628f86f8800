//! ROLE, WAIT, WAITAOF, REPLICAOF. No I/O.

use super::super::output;
use super::super::state::{Key, State};
use super::super::store::Reply;
use super::answer::{Answer, Ran};
use super::arguments::Arguments;
use bytes::Bytes;

/// `ROLE`
pub(super) fn role(state: &mut State, key: Key, _: Arguments<'_>) -> Answer {
    if !state.is_replica(key) {
        return Ok(Reply::Array(vec![Reply::text("master"), Reply::Integer(0), Reply::empty()]));
    }
    let new = (Bytes::from_static(b"127.0.0.1"), 0);
    let (host, port) = state.master.clone().unwrap_or(new);
    let (host, port) = (Reply::Bulk(host), Reply::Integer(port));
    let rest = [host, port, Reply::text("connect"), Reply::Integer(-1)];
    Ok(Reply::Array([Reply::text("slave")].into_iter().chain(rest).collect()))
}

/// `REPLICAOF host port`, `REPLICAOF NO ONE`
pub(super) fn replicaof(state: &mut State, _: Key, args: Arguments<'_>) -> Answer {
    if args.is(1, "NO") && args.is(2, "ONE") {
        state.master = None;
    } else {
        let port = args.integer_or(2, "ERR Invalid master port")?;
        state.master = Some((args.at(1).clone(), port));
        output::unblock_all(state);
    }
    Ok(Reply::Simple("OK"))
}

/// `WAIT replicas timeout`. All replicas of [`State::replicas`] have everything.
pub(super) fn wait(state: &mut State, key: Key, args: Arguments<'_>) -> Result<Ran, Reply> {
    if state.is_replica(key) {
        let since = if state.release().is_valkey() { "if" } else { "since Redis 4.0 if" };
        return Err(Reply::error(format!(
            "ERR WAIT cannot be used with replica instances. Please also note that {since} a \
             replica is configured to be writable (which is not the default) writes to replicas \
             are just local and are not propagated."
        )));
    }
    let replicas = args.integer(1)?;
    let timeout = args.timeout(2)?;
    let has = i64::try_from(state.replicas).unwrap_or(i64::MAX);
    Ok(later(state, key, replicas <= has, Reply::Integer(has), timeout))
}

/// `WAITAOF local replicas timeout`
pub(super) fn waitaof(state: &mut State, key: Key, args: Arguments<'_>) -> Result<Ran, Reply> {
    if state.is_replica(key) {
        return Err(Reply::error(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let local = args.integer(1)?;
    if !(0..=1).contains(&local) {
        return Err(Reply::error("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = args.integer(2)?;
    let timeout = args.timeout(3)?;
    let writes = state.settings.is_on("appendonly");
    if local > 0 && !writes {
        return Err(Reply::error(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    if writes {
        // A real server syncs once a second. This one has no reason to wait.
        state.synced = state.store.clone();
    }
    let has = i64::try_from(state.replicas).unwrap_or(i64::MAX);
    let reply = Reply::Array(vec![Reply::Integer(i64::from(writes)), Reply::Integer(has)]);
    Ok(later(state, key, replicas <= has, reply, timeout))
}

fn later(state: &mut State, key: Key, done: bool, reply: Reply, timeout: u64) -> Ran {
    let in_exec = state.session(key).is_some_and(|session| session.in_exec);
    if done || in_exec {
        return Ran::Reply(reply);
    }
    let until = (timeout > 0).then(|| state.clock.now_ms().saturating_add(timeout));
    Ran::Later(reply, until)
}
