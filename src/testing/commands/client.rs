//! CLIENT: the connections of the server. No I/O.

use super::super::fault::End;
use super::super::output;
use super::super::state::{Activity, Key, Pause, Session, State, is_plain};
use super::super::store::{Release, Reply};
use super::answer::Answer;
use super::arguments::{Arguments, syntax};
use super::connection::BAD_NAME;
use bytes::Bytes;

const OK: Reply = Reply::Simple("OK");

/// `CLIENT subcommand`
pub(super) fn client(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    let now = state.clock.now();
    let Some(session) = state.session(key) else { return Err(syntax()) };
    match args.text(1).to_ascii_uppercase().as_str() {
        "ID" => Ok(Reply::Integer(session.id)),
        "GETNAME" => Ok(session.name.clone().map_or(Reply::Null, Reply::Bulk)),
        "SETNAME" => {
            session.set_name(args.at(2)).map(|()| OK).ok_or_else(|| Reply::error(BAD_NAME))
        }
        "SETINFO" => set_info(session, args),
        "INFO" => Ok(text(line(session, now) + "\n")),
        "LIST" => {
            let all = state.sessions.values().filter(|session| !session.admin);
            Ok(text(all.map(|session| line(session, now) + "\n").collect()))
        }
        "KILL" => kill(state, key, args),
        "UNBLOCK" => unblock(state, args),
        "PAUSE" => pause(state, args),
        "UNPAUSE" => {
            // Its end is noticed like one by time.
            state.pause = None;
            Ok(OK)
        }
        "NO-EVICT" | "NO-TOUCH" if args.is(2, "ON") || args.is(2, "OFF") => Ok(OK),
        _ => Err(syntax()),
    }
}

fn text(text: String) -> Reply {
    Reply::Bulk(Bytes::from(text))
}

fn set_info(session: &mut Session, args: Arguments<'_>) -> Answer {
    let [name, version] = &mut session.library;
    let (option, place) = match () {
        () if args.is(2, "LIB-NAME") => ("LIB-NAME", name),
        () if args.is(2, "LIB-VER") => ("LIB-VER", version),
        () => return Err(Reply::error(format!("ERR Unrecognized option '{}'", args.text(2)))),
    };
    if !is_plain(args.at(3)) {
        return Err(Reply::error(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    *place = args.at(3).clone();
    Ok(OK)
}

/// Formats a line of CLIENT LIST.
fn line(session: &Session, now: std::time::Instant) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let Session { id, db, command, .. } = session;
    let name = session.name.as_ref().map(text).unwrap_or_default();
    let age = now.saturating_duration_since(session.since).as_secs();
    let flags = match session.activity {
        Activity::Reading(_) | Activity::Waiting { .. } => "b",
        _ if session.transaction.is_some() => "x",
        _ => "N",
    };
    let multi = session
        .transaction
        .as_ref()
        .map_or(-1, |transaction| i64::try_from(transaction.queue.len()).unwrap_or(i64::MAX));
    let user = session.user.as_ref().map(text).unwrap_or_default();
    let resp = if session.resp3 { 3 } else { 2 };
    let [library, version] = session.library.each_ref().map(text);
    format!(
        "id={id} addr=127.0.0.1:0 laddr=127.0.0.1:0 fd=0 name={name} age={age} idle=0 flags={flags} \
         db={db} sub=0 psub=0 multi={multi} cmd={command} user={user} resp={resp} \
         lib-name={library} lib-ver={version}"
    )
}

/// `CLIENT KILL ID id [SKIPME yes | no] ...`, or `CLIENT KILL address`
fn kill(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    if args.len() == 3 {
        return Err(Reply::error("ERR No such client"));
    }
    let (mut id, mut user, mut skip_me, mut normal) = (None, None, true, true);
    let mut index = 2;
    while index < args.len() {
        if index + 1 >= args.len() {
            return Err(syntax());
        }
        let value = args.at(index + 1);
        match args.text(index).to_ascii_uppercase().as_str() {
            "ID" => id = kill_id(state.release(), args, index + 1)?,
            "SKIPME" if value.eq_ignore_ascii_case(b"yes") => skip_me = true,
            "SKIPME" if value.eq_ignore_ascii_case(b"no") => skip_me = false,
            "USER" => user = Some(value),
            "TYPE" => {
                normal = match value.to_ascii_lowercase().as_slice() {
                    b"normal" => true,
                    b"master" | b"primary" | b"replica" | b"slave" | b"pubsub" => false,
                    _ => {
                        let kind = args.text(index + 1);
                        return Err(Reply::error(format!("ERR Unknown client type '{kind}'")));
                    }
                };
            }
            _ => return Err(syntax()),
        }
        index += 2;
    }
    let fits = |(other, session): (&Key, &Session)| {
        let fits = normal
            && !session.admin
            && id.is_none_or(|id| id == session.id)
            && user.is_none_or(|user| session.user.as_ref() == Some(user))
            && !(skip_me && *other == key);
        fits.then_some(*other)
    };
    let killed: Vec<Key> = state.sessions.iter().filter_map(fits).collect();
    for other in &killed {
        if *other == key {
            if let Some(session) = state.session(key) {
                session.closing = true;
            }
        } else {
            state.close(*other, End::Eof);
        }
    }
    Ok(Reply::count(killed.len()))
}

/// Returns the id of CLIENT KILL; `None` is any.
fn kill_id(release: Release, args: Arguments<'_>, index: usize) -> Result<Option<i64>, Reply> {
    if !release.has(Release::Redis7_0) {
        return Ok(Some(args.integer(index)?).filter(|id| *id != 0));
    }
    let error = "ERR client-id should be greater than 0";
    let not_a_number = if release.is_valkey() { "ERR syntax error" } else { error };
    match args.integer_or(index, not_a_number)? {
        id if id > 0 => Ok(Some(id)),
        _ => Err(Reply::error(error)),
    }
}

/// `CLIENT UNBLOCK id [TIMEOUT | ERROR]`
fn unblock(state: &mut State, args: Arguments<'_>) -> Answer {
    let error = match args.len() {
        3 => false,
        4 if args.is(3, "TIMEOUT") => false,
        4 if args.is(3, "ERROR") => true,
        _ => {
            return Err(Reply::error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    let id = args.integer(2)?;
    let Some(key) = state.key_of(id) else { return Ok(Reply::Integer(0)) };
    let reply = match state.sessions.get(&key).map(|session| &session.activity) {
        Some(Activity::Reading(_) | Activity::Waiting { .. }) if error => {
            Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
        }
        Some(Activity::Reading(_)) => Reply::NullArray,
        Some(Activity::Waiting { reply, .. }) => reply.clone(),
        _ => return Ok(Reply::Integer(0)),
    };
    output::resume(state, key, &reply);
    Ok(Reply::Integer(1))
}

/// `CLIENT PAUSE ms [WRITE | ALL]`
fn pause(state: &mut State, args: Arguments<'_>) -> Answer {
    let writes_only = match args.len() {
        3 => false,
        4 if args.is(3, "ALL") => false,
        4 if args.is(3, "WRITE") => true,
        _ => return Err(Reply::error("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout = args.timeout(2)?;
    let until_ms = state.clock.now_ms().saturating_add(timeout);
    if i64::try_from(until_ms).is_err() {
        // The sum overflows in old servers: the pause is over at once.
        return if state.release().has(Release::Redis7_2) {
            Err(Reply::error("ERR timeout is out of range"))
        } else {
            Ok(OK)
        };
    }
    // A pause under way is not made shorter or weaker.
    let (longest, weakest) = match state.paused() {
        Some(pause) => (pause.until_ms.max(until_ms), pause.writes_only && writes_only),
        None => (until_ms, writes_only),
    };
    state.pause = Some(Pause { until_ms: longest, writes_only: weakest });
    Ok(OK)
}
