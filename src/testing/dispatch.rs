//! Runs requests: permissions, faults, transactions, and the readers that a command wakes. No I/O.
//!
//! The checks are in the order of the real server. The first one that fails decides the error, and
//! makes a transaction fail.

use super::commands::{self, Arguments, Command, Found, Handler, Ran};
use super::fault::{End, Kind, Named};
use super::output;
use super::state::{Activity, Key, LostReply, Read, State, Transaction};
use super::store::{Blocked, Release, Reply, Run};
use bytes::Bytes;

/// The next step of a connection after a request.
#[derive(Debug)]
pub(super) enum Step {
    Reply(Reply),
    Read(Blocked),
    Wait(Reply, Option<u64>),
    /// The pause is over first.
    Postpone,
    /// The connection has ended.
    Gone,
}

/// A command that was found.
#[derive(Debug, Clone, Copy)]
enum Target {
    Own(&'static Command),
    Store,
}

/// Runs a request, and what follows from it. The connection is ready for it.
pub(super) fn request(state: &mut State, key: Key, args: Vec<Bytes>) {
    let step = step(state, key, &args);
    match step {
        Step::Reply(reply) => output::send(state, key, &reply),
        Step::Read(blocked) => read(state, key, blocked),
        Step::Wait(reply, until_ms) => set(state, key, Activity::Waiting { reply, until_ms }),
        Step::Postpone => {
            state.postponed.push_back(key);
            set(state, key, Activity::Postponed(args));
        }
        Step::Gone => {}
    }
    serve(state);
}

fn set(state: &mut State, key: Key, activity: Activity) {
    if let Some(session) = state.session(key) {
        session.activity = activity;
    }
}

/// Makes a connection wait for keys.
fn read(state: &mut State, key: Key, blocked: Blocked) {
    let timeout = blocked.timeout_ms();
    let until_ms = timeout.map(|timeout| state.clock.now_ms().saturating_add(timeout));
    let db = state.context(key).db;
    state.readers.add(key, db, blocked.keys());
    state.turns += 1;
    let turn = state.turns;
    let claim = state.store.claimable_at(state.context(key), &blocked);
    set(state, key, Activity::Reading(Read { blocked, until_ms, turn, claim }));
}

/// Runs the reads that wait for keys that have changed, in the order in which they blocked.
pub(super) fn serve(state: &mut State) {
    loop {
        let mut ready = state.store.take_ready();
        state.store.take_modified();
        if ready.is_empty() {
            return;
        }
        if state.readers.is_empty() {
            continue;
        }
        let all = ready.clone();
        let mut index = 0;
        // A key counts once, at its first place.
        ready.retain(|key| {
            index += 1;
            !all.iter().take(index - 1).any(|earlier| earlier == key)
        });
        for (db, key) in ready {
            for reader in state.readers.of(db, &key) {
                resume(state, reader, db, &key);
            }
        }
    }
}

/// Runs a read that waits again.
pub(super) fn resume(state: &mut State, reader: Key, db: u32, key: &Bytes) {
    let context = state.context(reader);
    let session = state.sessions.get(&reader);
    let Some(Activity::Reading(read)) = session.map(|session| &session.activity) else {
        return;
    };
    if let Some(reply) = state.store.resume(context, &read.blocked, key) {
        return output::resume(state, reader, &reply);
    }
    if state.release().has(Release::Redis7_2) {
        state.readers.requeue(reader, db, key);
    }
}

/// Runs a request up to its reply or its wait.
pub(super) fn step(state: &mut State, key: Key, args: &[Bytes]) -> Step {
    let given = Arguments(args).name();
    let name = state.settings.resolve(&given).map(str::to_owned);
    let mut renamed = Vec::new();
    if let Some(name) = name.as_ref().filter(|name| **name != given) {
        renamed.push(Bytes::from(name.clone()));
        renamed.extend(args.iter().skip(1).cloned());
    }
    let args = if renamed.is_empty() { args } else { &renamed };
    match check(state, key, name.as_deref(), args) {
        Ok((target, name)) => run(state, key, target, &name, args),
        Err(Check::Gone) => Step::Gone,
        Err(Check::Postpone) => Step::Postpone,
        Err(Check::Refused(reply)) => Step::Reply(reject(state, key, name.as_deref(), reply)),
    }
}

/// The reason why a command does not run now.
enum Check {
    Refused(Reply),
    Postpone,
    Gone,
}

impl From<Reply> for Check {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

/// Finds a command, and checks whether it may run.
fn check(
    state: &mut State,
    key: Key,
    name: Option<&str>,
    args: &[Bytes],
) -> Result<(Target, String), Check> {
    let Some(session) = state.sessions.get(&key) else { return Err(Check::Gone) };
    let (admin, id, locked) = (session.admin, session.id, session.user.is_none());
    let (queues, queued_writes) =
        session.transaction.as_ref().map_or((false, false), |open| (true, open.writes));
    let no_auth = || Reply::error("NOAUTH Authentication required.");
    let found = find(state, name, args);
    let open = matches!(&found, Ok((Target::Own(command), _)) if command.open);
    // Valkey 9 does not say more to those who are not logged in.
    if locked && !open && state.release() == Release::Valkey9_1 {
        return Err(no_auth().into());
    }
    let (target, name) = found?;
    if locked && !open {
        return Err(no_auth().into());
    }
    let named = named(state, target, &name, args);
    if !open {
        may(state, key, &name)?;
    }
    let met = (!admin).then(|| state.faults.meet(id, &named)).flatten();
    match met {
        Some((Kind::Error(text), _)) => return Err(Reply::Error(text).into()),
        Some((Kind::Disconnect, end)) => {
            state.close(key, end);
            return Err(Check::Gone);
        }
        Some((kind, end)) => lose(state, key, &kind, end),
        None => {}
    }
    let writes = named.write || name == "exec" && queued_writes;
    if writes && state.is_replica(key) && !admin {
        return Err(Reply::error("READONLY You can't write against a read only replica.").into());
    }
    let paused = state.paused().is_some_and(|pause| writes || !pause.writes_only);
    if paused && !admin {
        return Err(Check::Postpone);
    }
    if name == "multi" && queues && state.release().is_valkey() {
        let named = if state.release() == Release::Valkey9_1 { " 'multi'" } else { "" };
        let error = format!("ERR Command{named} not allowed inside a transaction");
        return Err(Reply::error(error).into());
    }
    if let Some(session) = state.session(key) {
        session.command.clone_from(&name);
        if let Some(transaction) = &mut session.transaction {
            transaction.writes |= writes;
        }
    }
    Ok((target, name))
}

fn lose(state: &mut State, key: Key, kind: &Kind, end: End) {
    let lost = match kind {
        Kind::DropReply => LostReply::Dropped,
        _ => LostReply::WithConnection(end),
    };
    if let Some(session) = state.session(key) {
        session.lost_reply = Some(lost);
    }
}

/// Finds a command. Returns its name as in errors.
fn find(state: &State, name: Option<&str>, args: &[Bytes]) -> Result<(Target, String), Reply> {
    if let Some(name) = name {
        match commands::find(state.release(), name, args) {
            Found::Command(command) => return Ok((Target::Own(command), command.name.to_owned())),
            Found::Refused(reply) => return Err(reply),
            Found::Unknown => {}
        }
    }
    let refused = match name {
        Some(_) => state.store.refuses(args),
        // The command has another name. The store refuses any unknown name in the same way.
        None => Some(unknown(state, args)),
    };
    if let Some(reply) = refused {
        return Err(reply);
    }
    let name = name.unwrap_or_default();
    let container = matches!(name, "xgroup" | "xinfo") && state.release().has(Release::Redis7_0);
    let sub = container.then(|| format!("|{}", Arguments(args).sub_name()));
    Ok((Target::Store, format!("{name}{}", sub.unwrap_or_default())))
}

/// Returns the error of a command that has another name.
fn unknown(state: &State, args: &[Bytes]) -> Reply {
    let stand_in = Bytes::from_static(b"\x01");
    let name = args.first().cloned().unwrap_or_default();
    let args: Vec<Bytes> =
        [stand_in.clone()].into_iter().chain(args.iter().skip(1).cloned()).collect();
    match state.store.refuses(&args) {
        Some(Reply::Error(text)) => Reply::Error(replaced(&text, &stand_in, &name)),
        other => other.unwrap_or_else(|| Reply::error("ERR unknown command")),
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Bytes {
    let Some(place) = text.windows(from.len()).position(|window| window == from) else {
        return Bytes::copy_from_slice(text);
    };
    let (before, after) = text.split_at(place);
    Bytes::from([before, to, after.get(from.len()..).unwrap_or_default()].concat())
}

/// Returns what faults need to know about a command.
fn named<'a>(state: &State, target: Target, name: &'a str, args: &[Bytes]) -> Named<'a> {
    match target {
        Target::Own(command) => Named {
            name,
            write: false,
            deny_oom: false,
            while_loading: command.while_loading,
            while_busy: command.while_busy,
        },
        Target::Store => {
            let traits = state.store.traits(args);
            Named {
                name,
                write: traits.is_some_and(|traits| traits.write),
                deny_oom: traits.is_some_and(|traits| traits.deny_oom),
                while_loading: false,
                while_busy: false,
            }
        }
    }
}

/// Checks the permissions of the user.
fn may(state: &State, key: Key, name: &str) -> Result<(), Reply> {
    let Some(session) = state.sessions.get(&key) else { return Ok(()) };
    if session.admin || state.users.permit(session.user.as_deref().unwrap_or_default(), name) {
        return Ok(());
    }
    let release = state.release();
    Err(Reply::error(if release.has(Release::Redis7_2) {
        let user = session.user_name();
        format!("NOPERM User {user} has no permissions to run the '{name}' command")
    } else if release.has(Release::Redis7_0) {
        format!("NOPERM this user has no permissions to run the '{name}' command")
    } else {
        let name = name.split('|').next().unwrap_or_default();
        format!("NOPERM this user has no permissions to run the '{name}' command or its subcommand")
    }))
}

/// Returns the reply to a command that was refused. A transaction fails with it.
fn reject(state: &mut State, key: Key, name: Option<&str>, reply: Reply) -> Reply {
    let Some(session) = state.session(key) else { return reply };
    if name == Some("exec") {
        session.transaction = None;
        if let Reply::Error(text) = &reply {
            let begin = b"EXECABORT Transaction discarded because of: ".as_slice();
            return Reply::Error(Bytes::from([begin, text].concat()));
        }
    }
    if let Some(transaction) = &mut session.transaction {
        transaction.poisoned = true;
    }
    reply
}

/// Runs or queues a command that may run.
fn run(state: &mut State, key: Key, target: Target, name: &str, args: &[Bytes]) -> Step {
    let at_once = matches!(name, "exec" | "discard" | "multi" | "quit" | "reset");
    let open = state.session(key).and_then(|session| session.transaction.as_mut());
    match open {
        Some(transaction) if !at_once => {
            transaction.queue.push(args.to_vec());
            Step::Reply(Reply::Simple("QUEUED"))
        }
        _ => call(state, key, target, args),
    }
}

/// Runs a command.
fn call(state: &mut State, key: Key, target: Target, args: &[Bytes]) -> Step {
    let Target::Own(command) = target else {
        let context = state.context(key);
        return match state.store.run(context, args) {
            Run::Reply(reply) => Step::Reply(reply),
            Run::Blocked(blocked) => Step::Read(blocked),
        };
    };
    let reply = match command.run {
        Handler::Plain(run) => run(state, key, Arguments(args)),
        Handler::Wait(run) => match run(state, key, Arguments(args)) {
            Ok(Ran::Later(reply, until)) => return Step::Wait(reply, until),
            Ok(Ran::Reply(reply)) => Ok(reply),
            Err(error) => Err(error),
        },
        Handler::Multi => multi(state, key),
        Handler::Exec => exec(state, key),
        Handler::Discard => discard(state, key),
    };
    Step::Reply(reply.unwrap_or_else(|error| error))
}

fn multi(state: &mut State, key: Key) -> Result<Reply, Reply> {
    let transaction = state.session(key).map(|session| &mut session.transaction);
    match transaction {
        Some(none @ None) => *none = Some(Transaction::default()),
        _ => return Err(Reply::error("ERR MULTI calls can not be nested")),
    }
    Ok(Reply::Simple("OK"))
}

fn discard(state: &mut State, key: Key) -> Result<Reply, Reply> {
    let open = state.session(key).and_then(|session| session.transaction.take());
    open.map(|_| Reply::Simple("OK")).ok_or_else(|| Reply::error("ERR DISCARD without MULTI"))
}

fn exec(state: &mut State, key: Key) -> Result<Reply, Reply> {
    let open = state.session(key).and_then(|session| session.transaction.take());
    let open = open.ok_or_else(|| Reply::error("ERR EXEC without MULTI"))?;
    if open.poisoned {
        return Err(Reply::error("EXECABORT Transaction discarded because of previous errors."));
    }
    set_in_exec(state, key, true);
    let replies = open.queue.iter().map(|args| run_queued(state, key, args));
    let replies = replies.collect();
    set_in_exec(state, key, false);
    Ok(Reply::Array(replies))
}

fn set_in_exec(state: &mut State, key: Key, in_exec: bool) {
    if let Some(session) = state.session(key) {
        session.in_exec = in_exec;
    }
}

/// Runs a command of a transaction. None of them waits.
fn run_queued(state: &mut State, key: Key, args: &[Bytes]) -> Reply {
    let found = find(state, Some(&Arguments(args).name()), args);
    let step = match found.and_then(|(target, name)| may(state, key, &name).map(|()| target)) {
        Ok(target) => call(state, key, target, args),
        Err(error) => Step::Reply(error),
    };
    match step {
        Step::Reply(reply) | Step::Wait(reply, _) => reply,
        Step::Read(_) | Step::Postpone | Step::Gone => Reply::NullArray,
    }
}
