//! INFO and TIME. No I/O.

use super::super::state::{Key, State};
use super::super::store::{Release, Reply};
use super::answer::Answer;
use super::arguments::{Arguments, syntax};
use bytes::Bytes;

/// `INFO [section ...]`
pub(super) fn info(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    if args.len() > 2 && !state.release().has(Release::Redis7_0) {
        return Err(syntax());
    }
    let wants = |section: &str| {
        let all = ["all", "default", "everything"];
        let named = |arg: &Bytes| {
            [section].iter().chain(&all).any(|name| arg.eq_ignore_ascii_case(name.as_bytes()))
        };
        args.len() == 1 || args.from(1).iter().any(named)
    };
    let mut sections = Vec::new();
    if wants("server") {
        sections.push(server(state));
    }
    if wants("clients") {
        sections.push(format!(
            "# Clients\r\nconnected_clients:{}\r\nblocked_clients:{}\r\n",
            state.connected(),
            state.blocked()
        ));
    }
    if wants("replication") {
        let role = if state.is_replica(key) { "slave" } else { "master" };
        sections.push(format!("# Replication\r\nrole:{role}\r\nconnected_slaves:0\r\n"));
    }
    Ok(Reply::Bulk(Bytes::from(sections.join("\r\n"))))
}

fn server(state: &State) -> String {
    let release = state.release();
    let mode = if state.settings.is_on("cluster-enabled") { "cluster" } else { "standalone" };
    let names = if release.is_valkey() {
        // The version of Redis that it was forked from comes first.
        format!(
            "redis_version:{}\r\nserver_name:valkey\r\nvalkey_version:{}\r\nserver_mode:{mode}",
            Release::Redis7_2.version(),
            release.version()
        )
    } else {
        format!("redis_version:{}\r\nredis_mode:{mode}", release.version())
    };
    format!("# Server\r\n{names}\r\n")
}

/// `TIME`
pub(super) fn time(state: &mut State, _: Key, _: Arguments<'_>) -> Answer {
    let now = state.clock.now_ms();
    let parts = [now / 1_000, now % 1_000 * 1_000];
    Ok(Reply::Array(parts.map(|part| Reply::Bulk(Bytes::from(part.to_string()))).into()))
}
