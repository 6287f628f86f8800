//! The table of commands. No I/O.

use super::super::state::{Key, State};
use super::super::store::{Release, Reply};
use super::answer::{Answer, Ran};
use super::arguments::Arguments;
use super::{acl, client, cluster, config, connection, info, replication};
use bytes::Bytes;

/// A command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    /// The name in errors: `ping`, `client|id`.
    pub(crate) name: &'static str,
    /// The number of arguments with the name, negative if it is the least number.
    arity: isize,
    since: Release,
    pub(crate) run: Handler,
    /// Allowed before AUTH.
    pub(crate) open: bool,
    /// Allowed while the server loads its data.
    pub(crate) while_loading: bool,
    /// Allowed while a script runs.
    pub(crate) while_busy: bool,
}

/// The function of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handler {
    Plain(fn(&mut State, Key, Arguments<'_>) -> Answer),
    /// It may wait.
    Wait(fn(&mut State, Key, Arguments<'_>) -> Result<Ran, Reply>),
    Multi,
    Exec,
    Discard,
}

const fn plain(
    name: &'static str,
    arity: isize,
    run: fn(&mut State, Key, Arguments<'_>) -> Answer,
) -> Command {
    command(name, arity, Handler::Plain(run))
}

const fn command(name: &'static str, arity: isize, run: Handler) -> Command {
    let since = Release::Redis6_2;
    Command { name, arity, since, run, open: false, while_loading: true, while_busy: false }
}

const fn since(since: Release, command: Command) -> Command {
    Command { since, ..command }
}

/// Allowed before AUTH and while a script runs.
const fn open(command: Command) -> Command {
    Command { open: true, while_busy: true, ..command }
}

const fn while_busy(command: Command) -> Command {
    Command { while_busy: true, ..command }
}

/// Refused while the server loads its data.
const fn not_loading(command: Command) -> Command {
    Command { while_loading: false, ..command }
}

static COMMANDS: [Command; 21] = [
    not_loading(plain("ping", -1, connection::ping)),
    not_loading(plain("echo", 2, connection::echo)),
    open(plain("auth", -2, connection::auth)),
    open(plain("hello", -1, connection::hello)),
    open(plain("reset", 1, connection::reset)),
    open(plain("quit", -1, connection::quit)),
    plain("select", 2, connection::select),
    plain("time", 1, info::time),
    plain("info", -1, info::info),
    plain("role", 1, replication::role),
    not_loading(command("wait", 3, Handler::Wait(replication::wait))),
    since(
        Release::Redis7_2,
        not_loading(command("waitaof", 4, Handler::Wait(replication::waitaof))),
    ),
    not_loading(plain("replicaof", 3, replication::replicaof)),
    not_loading(plain("slaveof", 3, replication::replicaof)),
    while_busy(command("multi", 1, Handler::Multi)),
    command("exec", 1, Handler::Exec),
    while_busy(command("discard", 1, Handler::Discard)),
    plain("client", -2, container),
    plain("cluster", -2, container),
    plain("config", -2, container),
    plain("acl", -2, container),
];

/// Subcommands: since Redis 7.0, they are commands of their own.
static SUBCOMMANDS: [Command; 24] = [
    plain("client|id", 2, client::client),
    plain("client|getname", 2, client::client),
    plain("client|setname", 3, client::client),
    since(Release::Redis7_2, plain("client|setinfo", 4, client::client)),
    plain("client|list", -2, client::client),
    plain("client|info", 2, client::client),
    plain("client|kill", -3, client::client),
    plain("client|unblock", -3, client::client),
    plain("client|pause", -3, client::client),
    plain("client|unpause", 2, client::client),
    since(Release::Redis7_0, plain("client|no-evict", 3, client::client)),
    since(Release::Redis7_2, plain("client|no-touch", 3, client::client)),
    plain("cluster|slots", 2, cluster::cluster),
    since(Release::Redis7_0, plain("cluster|shards", 2, cluster::cluster)),
    plain("cluster|addslots", -3, cluster::cluster),
    plain("cluster|delslots", -3, cluster::cluster),
    plain("cluster|myid", 2, cluster::cluster),
    plain("config|get", -3, config::config),
    plain("config|set", -4, config::config),
    plain("config|resetstat", 2, config::config),
    plain("acl|setuser", -3, acl::acl),
    plain("acl|deluser", -3, acl::acl),
    plain("acl|whoami", 2, acl::acl),
    plain("acl|users", 2, acl::acl),
];

/// The result of [`find`].
#[derive(Debug)]
pub(crate) enum Found {
    Command(&'static Command),
    /// The command is known and refused.
    Refused(Reply),
    /// Another module may know the command.
    Unknown,
}

/// Finds a command by its name in lower case, and checks the number of arguments.
pub(crate) fn find(release: Release, name: &str, request: &[Bytes]) -> Found {
    let known = |command: &&Command| command.name == name && release.has(command.since);
    let Some(command) = COMMANDS.iter().find(known) else { return Found::Unknown };
    if !fits(command.arity, request.len()) {
        return Found::Refused(arity(name));
    }
    if !matches!(name, "client" | "cluster" | "config" | "acl") {
        return Found::Command(command);
    }
    if !release.has(Release::Redis7_0) {
        return Found::Command(command);
    }
    let args = Arguments(request);
    match subcommand(release, name, args) {
        Some(sub) if fits(sub.arity, request.len()) => Found::Command(sub),
        Some(sub) => Found::Refused(arity(sub.name)),
        None => {
            let (shown, name) = (args.text(1), name.to_ascii_uppercase());
            Found::Refused(Reply::error(format!(
                "ERR unknown subcommand '{shown}'. Try {name} HELP."
            )))
        }
    }
}

fn subcommand(release: Release, name: &str, args: Arguments<'_>) -> Option<&'static Command> {
    SUBCOMMANDS.iter().find(|sub| {
        let own = sub.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('|'));
        own.is_some_and(|own| args.is(1, own)) && release.has(sub.since)
    })
}

/// Runs a subcommand of Redis 6.2, where they are no commands of their own: permissions are those
/// of the whole command.
fn container(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    let name = args.name();
    if name == "cluster" && !state.settings.is_on("cluster-enabled") {
        return cluster::cluster(state, key, args);
    }
    match subcommand(state.release(), &name, args) {
        Some(Command { arity, run: Handler::Plain(run), .. }) if fits(*arity, args.len()) => {
            run(state, key, args)
        }
        _ => {
            let (shown, name) = (args.text(1), name.to_ascii_uppercase());
            Err(Reply::error(format!(
                "ERR Unknown subcommand or wrong number of arguments for '{shown}'. Try {name} HELP."
            )))
        }
    }
}

/// Whether a number of arguments is allowed.
const fn fits(arity: isize, len: usize) -> bool {
    if arity < 0 { len >= arity.unsigned_abs() } else { len == arity.unsigned_abs() }
}

fn arity(name: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{name}' command"))
}
