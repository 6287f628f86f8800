//! The table of commands. No I/O.

use super::arguments::{Arguments, text};
use super::call::{Answer, Call};
use super::errors::{self, words};
use super::{Release, Reply, Run};
use super::{
    delete, expire, help, keys, trim, xack, xadd, xautoclaim, xclaim, xgroup, xidmp, xinfo, xnack,
    xpending, xrange, xread, xsetid,
};

/// Properties of a command that the server needs before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Refused by a replica (`READONLY`).
    pub(crate) write: bool,
    /// Refused when the memory is full (`OOM`).
    pub(crate) deny_oom: bool,
}

/// A command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    /// The name in errors: `xadd`, `xgroup|create`.
    name: &'static str,
    /// The number of arguments with the name, negative if it is the least number.
    arity: isize,
    since: Release,
    pub(super) traits: Traits,
    pub(super) run: Handler,
}

/// The function of a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handler {
    Plain(fn(&mut Call<'_>) -> Answer),
    /// A read that may wait.
    Read(fn(&mut Call<'_>) -> Result<Run, Reply>),
}

const READ: Traits = Traits { write: false, deny_oom: false };
const WRITE: Traits = Traits { write: true, deny_oom: false };
const ADD: Traits = Traits { write: true, deny_oom: true };

const fn plain(
    name: &'static str,
    arity: isize,
    traits: Traits,
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, since: Release::Redis6_2, traits, run: Handler::Plain(run) }
}

const fn read(
    name: &'static str,
    arity: isize,
    traits: Traits,
    run: fn(&mut Call<'_>) -> Result<Run, Reply>,
) -> Command {
    Command { name, arity, since: Release::Redis6_2, traits, run: Handler::Read(run) }
}

const fn since(since: Release, command: Command) -> Command {
    Command { since, ..command }
}

#[rustfmt::skip]
static COMMANDS: [Command; 36] = [
    plain("xadd", -5, ADD, xadd::xadd),
    read("xreadgroup", -7, WRITE, xread::xreadgroup),
    plain("xack", -4, WRITE, xack::xack),
    plain("xlen", 2, READ, xrange::xlen),
    plain("xrange", -4, READ, xrange::xrange),
    plain("xrevrange", -4, READ, xrange::xrevrange),
    plain("xpending", -3, READ, xpending::xpending),
    plain("xclaim", -6, WRITE, xclaim::xclaim),
    plain("xautoclaim", -6, WRITE, xautoclaim::xautoclaim),
    plain("xdel", -3, WRITE, delete::xdel),
    plain("xtrim", -4, WRITE, trim::xtrim),
    plain("xgroup", -2, ADD, xgroup::xgroup),
    plain("xinfo", -2, READ, xinfo::xinfo),
    read("xread", -4, READ, xread::xread),
    since(Release::Redis8_2, plain("xackdel", -6, WRITE, delete::xackdel)),
    since(Release::Redis8_2, plain("xdelex", -5, WRITE, delete::xdelex)),
    since(Release::Redis8_10, plain("xnack", -7, WRITE, xnack::xnack)),
    since(Release::Redis8_6, plain("xcfgset", -2, WRITE, xidmp::xcfgset)),
    since(Release::Redis8_6, plain("xidmprecord", 5, ADD, xidmp::xidmprecord)),
    plain("xsetid", -3, ADD, xsetid::xsetid),
    plain("del", -2, WRITE, keys::del),
    plain("unlink", -2, WRITE, keys::del),
    plain("exists", -2, READ, keys::exists),
    plain("type", 2, READ, keys::kind),
    plain("set", -3, ADD, keys::set),
    plain("get", 2, READ, keys::get),
    plain("dbsize", 1, READ, keys::dbsize),
    plain("flushdb", -1, WRITE, keys::flushdb),
    plain("flushall", -1, WRITE, keys::flushall),
    plain("expire", -3, WRITE, expire::expire),
    plain("pexpire", -3, WRITE, expire::pexpire),
    plain("expireat", -3, WRITE, expire::expireat),
    plain("pexpireat", -3, WRITE, expire::pexpireat),
    plain("ttl", 2, READ, expire::ttl),
    plain("pttl", 2, READ, expire::pttl),
    plain("persist", 2, WRITE, expire::persist),
];

/// Subcommands: since Redis 7.0, they are commands of their own.
static XGROUP: [Command; 6] = [
    plain("xgroup|create", -5, ADD, xgroup::xgroup),
    plain("xgroup|setid", -5, WRITE, xgroup::xgroup),
    plain("xgroup|destroy", 4, WRITE, xgroup::xgroup),
    plain("xgroup|createconsumer", 5, ADD, xgroup::xgroup),
    plain("xgroup|delconsumer", 5, WRITE, xgroup::xgroup),
    plain("xgroup|help", 2, READ, help::xgroup),
];

static XINFO: [Command; 4] = [
    plain("xinfo|stream", -3, READ, xinfo::xinfo),
    plain("xinfo|groups", 3, READ, xinfo::xinfo),
    plain("xinfo|consumers", 4, READ, xinfo::xinfo),
    plain("xinfo|help", 2, READ, help::xinfo),
];

/// The command of a request, or the error of one that is refused.
#[derive(Debug)]
pub(super) enum Found {
    Command(&'static Command),
    Refused(Reply),
}

/// Finds the command of a request, and checks the number of arguments.
pub(super) fn find(release: Release, args: Arguments<'_>) -> Found {
    let named = |command: &&Command| args.is(0, command.name) && release.has(command.since);
    let Some(command) = COMMANDS.iter().find(named) else {
        return Found::Refused(unknown(release, args));
    };
    let arity = match command.name {
        // These had no options before Redis 7.0.
        "expire" | "pexpire" | "expireat" | "pexpireat" | "xsetid"
            if !release.has(Release::Redis7_0) =>
        {
            3
        }
        _ => command.arity,
    };
    if !fits(arity, args.len()) {
        return Found::Refused(errors::arity(command.name));
    }
    let subcommands: &[Command] = match command.name {
        "xgroup" if release.has(Release::Redis7_0) => &XGROUP,
        "xinfo" if release.has(Release::Redis7_0) => &XINFO,
        _ => return Found::Command(command),
    };
    subcommand(command, subcommands, args)
}

fn subcommand(
    command: &'static Command,
    subcommands: &'static [Command],
    args: Arguments<'_>,
) -> Found {
    let of = |name: &'static str| name.split_once('|').map_or(name, |(_, subcommand)| subcommand);
    let named = |subcommand: &&Command| args.is(1, of(subcommand.name));
    match subcommands.iter().find(named) {
        Some(found) if fits(found.arity, args.len()) => Found::Command(found),
        Some(found) => Found::Refused(errors::arity(found.name)),
        None => {
            let name = text(args.at(1));
            let name = name.get(..LONGEST_SHOWN).unwrap_or(name);
            let try_help = format!("'. Try {} HELP.", command.name.to_ascii_uppercase());
            Found::Refused(words(&[b"ERR unknown subcommand '", name, try_help.as_bytes()]))
        }
    }
}

/// Whether a number of arguments is allowed.
const fn fits(arity: isize, len: usize) -> bool {
    if arity < 0 { len >= arity.unsigned_abs() } else { len == arity.unsigned_abs() }
}

/// The bytes of a name, and of all arguments, that an error shows.
const LONGEST_SHOWN: usize = 128;

fn unknown(release: Release, args: Arguments<'_>) -> Reply {
    let old = !release.has(Release::Redis7_0);
    let name = text(args.at(0));
    let name = name.get(..LONGEST_SHOWN).unwrap_or(name);
    let mut shown = Vec::new();
    for argument in args.from(1) {
        let Some(room) = LONGEST_SHOWN.checked_sub(shown.len()).filter(|room| *room > 0) else {
            break;
        };
        let argument = text(argument);
        let argument = argument.get(..room).unwrap_or(argument);
        let (before, after): (&[u8], &[u8]) = if old { (b"`", b"`, ") } else { (b"'", b"' ") };
        shown.extend([before, argument, after].concat());
    }
    let beginning = b", with args beginning with: ";
    if old {
        return words(&[b"ERR unknown command `", name, b"`", beginning, &shown]);
    }
    if release.has(Release::Redis8_6) && args.len() == 1 {
        return words(&[b"ERR unknown command '", name, b"'"]);
    }
    words(&[b"ERR unknown command '", name, b"'", beginning, &shown])
}
