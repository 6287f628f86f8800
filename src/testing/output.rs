//! Sends replies, and their faults. No I/O.

use super::link::Parcel;
use super::state::{Activity, Key, LostReply, State};
use super::store::Reply;
use bytes::Bytes;

/// Sends a reply, unless a fault loses it.
pub(super) fn send(state: &mut State, key: Key, reply: &Reply) {
    let Some(session) = state.session(key) else { return };
    let (resp3, closing) = (session.resp3, session.closing);
    match session.lost_reply.take() {
        Some(LostReply::WithConnection(end)) => return state.close(key, end),
        Some(LostReply::Dropped) => {}
        None => {
            let mut out = Vec::new();
            reply.write(resp3, &mut out);
            send_bytes(state, key, out);
        }
    }
    if closing {
        state.close(key, super::fault::End::Eof);
    }
}

fn send_bytes(state: &mut State, key: Key, mut out: Vec<u8>) {
    let Some(session) = state.sessions.get(&key) else { return };
    let cut = state.faults.count_replies(session.id, out.len());
    if let Some((passed, _)) = cut {
        out.truncate(passed);
    }
    let (now, at) = (state.clock.now(), state.clock.after(state.latency));
    if let Some(link) = state.links.get_mut(&key) {
        link.replies.send(Parcel::Bytes(Bytes::from(out)), at);
        if link.receive(now) {
            state.wakers.extend(link.reader.take());
        }
    }
    if let Some((_, end)) = cut {
        state.close(key, end);
    }
}

/// Answers a connection that waits. Its later requests are run next.
pub(super) fn resume(state: &mut State, key: Key, reply: &Reply) {
    let Some(session) = state.sessions.get_mut(&key) else { return };
    let db = session.db;
    if let Activity::Reading(read) = std::mem::replace(&mut session.activity, Activity::Ready) {
        state.readers.remove(key, db, read.blocked.keys());
    }
    send(state, key, reply);
    state.resumed.push_back(key);
}

/// Ends the waits of all connections because the server has become a replica.
pub(super) fn unblock_all(state: &mut State) {
    let waits = |(key, session): (&Key, &super::state::Session)| {
        let waits = matches!(session.activity, Activity::Reading(_) | Activity::Waiting { .. });
        waits.then_some(*key)
    };
    let error = Reply::error(
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> \
         replica?)",
    );
    for key in state.sessions.iter().filter_map(waits).collect::<Vec<_>>() {
        if let Some(session) = state.session(key) {
            session.closing = true;
        }
        resume(state, key, &error);
    }
}
