//! Whether an error reply shows that its command did not run. No I/O.
//!
//! A server checks a command before it runs it, and most commands check everything before they
//! change anything. Scripts and functions differ. The error of a command that they call becomes
//! their own error, with the same code, after other calls may have written. Measured on Redis 7.0
//! and 8.10 and Valkey 9.1:
//!
//! | origin of the error | reply to EVAL |
//! |---|---|
//! | `redis.call` in the script | `WRONGTYPE Operation ... script: <sha>, on @user_script:1.` |
//! | the same, Valkey | `WRONGTYPE Operation ... script: on @user_script:1.` |
//! | `redis.pcall`, returned | `WRONGTYPE Operation ...`, `OOM command not allowed ...` |
//! | the same | `READONLY You can't write ...` |
//! | `redis.error_reply`, returned | any text |
//! | the server, before the script | the texts of [`proves_not_run`] |
//!
//! So a code alone proves nothing: OOM, READONLY, MISCONF and NOREPLICAS have the same text before
//! a script and inside one.

use super::code::Code;
use super::outcome::RAW;

/// The meaning of an error reply: whether it shows that the command did not run.
///
/// [`Command::REFUSAL`](crate::Command::REFUSAL) is derived from the command's name.
/// [`ServerError::outcome`](crate::ServerError::outcome) applies it.
///
/// ```
/// use bourn::{Outcome, Refusal, ServerError};
///
/// assert_eq!(Refusal::of("XADD"), Refusal::NotApplied);
/// assert_eq!(Refusal::of("evalsha"), Refusal::Script);
/// let error = ServerError::new("EVAL", b"WRONGTYPE Operation against a key holding the wrong kind of value");
/// assert_eq!(error.outcome(), Outcome::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The command did not run. Applies to commands that check their arguments before they change
    /// anything.
    NotApplied,
    /// The command runs other commands (`EVAL`, `EVALSHA`, `FCALL` and variants), and the error may
    /// come from one of them. It may have run, unless the text is that of a check which servers
    /// make before they run a script.
    Script,
    /// The command is not known at compile time ([`Raw`](crate::Raw)). It may have run if the code
    /// is `ERR` or unknown.
    Unclear,
}

impl Refusal {
    /// Returns the meaning for a command of this name, in any case. It is [`Refusal::Script`] for
    /// `EVAL...`, `FCALL...` and `TFCALL...`, and for an empty name, whose command is in its
    /// arguments.
    #[must_use]
    pub const fn of(name: &str) -> Self {
        Self::of_bytes(name.as_bytes())
    }

    pub(crate) const fn of_bytes(name: &[u8]) -> Self {
        let mut name = name;
        while let [b' ', rest @ ..] = name {
            name = rest;
        }
        if name.is_empty()
            || begins_with(name, b"EVAL")
            || begins_with(name, b"FCALL")
            || begins_with(name, b"TFCALL")
        {
            return Self::Script;
        }
        if begins_with(name, RAW.as_bytes()) { Self::Unclear } else { Self::NotApplied }
    }
}

const fn begins_with(name: &[u8], start: &[u8]) -> bool {
    let (mut name, mut start) = (name, start);
    while let [wanted, start_rest @ ..] = start {
        match name {
            [byte, name_rest @ ..] if byte.eq_ignore_ascii_case(wanted) => name = name_rest,
            _ => return false,
        }
        start = start_rest;
    }
    true
}

/// Whether the error of a script comes from a check that the server makes before it runs a script.
/// The texts were compared with those of Redis 7.0 and 8.10 and of Valkey 9.1; no command that a
/// script may call has them.
///
/// `redirects` says whether the text names a slot and an address.
pub(super) fn proves_not_run(code: &Code, text: &[u8], redirects: bool) -> bool {
    let starts = |start: &str| text.starts_with(start.as_bytes());
    if contains(text, b" script: ") {
        return false;
    }
    match code {
        Code::Loading => contains(text, b" is loading the dataset in memory"),
        Code::Busy => contains(text, b" is busy running "),
        Code::NoAuth => starts("Authentication required"),
        Code::MasterDown => starts("Link with MASTER is down"),
        Code::ClusterDown => starts("The cluster is down") || starts("Hash slot not served"),
        Code::TryAgain => starts("Multiple keys request during rehashing of slot"),
        Code::CrossSlot => starts("Keys in request don't hash to the same slot"),
        Code::Moved | Code::Ask => redirects,
        // A script's own permission error has the code `ERR`.
        Code::NoPerm => {
            contains(text, b" has no permissions to ") || starts("No permissions to access a ")
        }
        Code::Err => {
            names_a_script(text, b"wrong number of arguments for '")
                || names_a_script(text, b"unknown command '")
                || names_a_script(text, b"unknown command `")
                || starts("Error compiling script (new function):")
                || starts("Function not found")
                || starts("Can not execute a script with write flag using *_ro command")
                || starts("Can not run script on cluster, 'no-cluster' flag is set")
                || starts("Unexpected engine in script shebang")
                || starts("Unexpected flag in script shebang")
                || starts("Could not find scripting engine")
        }
        Code::Other(code) => &**code == "NOSCRIPT" && starts("No matching script"),
        _ => false,
    }
}

/// Whether the text continues with the name of a command that no script can call.
fn names_a_script(text: &[u8], start: &[u8]) -> bool {
    text.strip_prefix(start).is_some_and(|name| Refusal::of_bytes(name) == Refusal::Script)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome::{self, NotApplied, Unknown};
    use crate::error::ServerError;

    #[test]
    fn script_commands_are_recognised_by_name_in_any_case() {
        let scripts =
            ["EVAL", "eval", " Eval", "EVALSHA_RO", "fcall", "FCALL_RO", "TFCALL", "", " "];
        for name in scripts {
            assert_eq!(Refusal::of(name), Refusal::Script, "{name}");
        }
        for name in ["XADD", "EVA", "FCAL", "SCRIPT LOAD", "FUNCTION LOAD"] {
            assert_eq!(Refusal::of(name), Refusal::NotApplied, "{name}");
        }
        assert_eq!(Refusal::of(RAW), Refusal::Unclear);
    }

    /// Replies of Redis 7.0, Redis 8.10 and Valkey 9.1 to EVAL, EVALSHA and FCALL.
    const REPLIES: [(&str, Outcome); 47] = [
        ("NOSCRIPT No matching script. Please use EVAL.", NotApplied),
        ("NOSCRIPT No matching script.", NotApplied),
        ("NOSCRIPT of mine", Unknown),
        ("LOADING Redis is loading the dataset in memory", NotApplied),
        ("LOADING Valkey is loading the dataset in memory", NotApplied),
        ("LOADING later", Unknown),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            NotApplied,
        ),
        (
            "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            NotApplied,
        ),
        ("BUSY later", Unknown),
        ("NOAUTH Authentication required.", NotApplied),
        (
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            NotApplied,
        ),
        ("CLUSTERDOWN Hash slot not served", NotApplied),
        ("CLUSTERDOWN The cluster is down", NotApplied),
        ("CLUSTERDOWN of mine", Unknown),
        ("CROSSSLOT Keys in request don't hash to the same slot", NotApplied),
        ("TRYAGAIN Multiple keys request during rehashing of slot", NotApplied),
        ("TRYAGAIN later", Unknown),
        ("MOVED 3999 127.0.0.1:6381", NotApplied),
        ("ASK 3999 127.0.0.1:6381", NotApplied),
        ("MOVED away", Unknown),
        ("NOPERM this user has no permissions to run the 'eval' command", NotApplied),
        ("NOPERM User u has no permissions to run the 'eval' command", NotApplied),
        ("NOPERM No permissions to access a key", NotApplied),
        (
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            NotApplied,
        ),
        ("ERR wrong number of arguments for 'eval' command", NotApplied),
        ("ERR wrong number of arguments for 'fcall' command", NotApplied),
        ("ERR unknown command 'EVALX', with args beginning with: 'return 1' '0' ", NotApplied),
        ("ERR unknown command `FCALL`, with args beginning with: `f`, `0`, ", NotApplied),
        ("ERR Function not found", NotApplied),
        (
            "ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
            NotApplied,
        ),
        ("ERR Can not execute a script with write flag using *_ro command.", NotApplied),
        ("ERR Can not run script on cluster, 'no-cluster' flag is set.", NotApplied),
        ("ERR Unexpected engine in script shebang: #!js", NotApplied),
        ("ERR Could not find scripting engine 'js'", NotApplied),
        // Errors of commands that the script called, after it may have written.
        (
            "WRONGTYPE Operation against a key holding the wrong kind of value script: 63ace0, on @user_script:1.",
            Unknown,
        ),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", Unknown),
        ("NOGROUP No such key 's' or consumer group 'g'", Unknown),
        ("OOM command not allowed when used memory > 'maxmemory'.", Unknown),
        ("READONLY You can't write against a read only replica.", Unknown),
        ("NOREPLICAS Not enough good replicas to write.", Unknown),
        (
            "ERR Wrong number of args calling command from script script: on @user_script:1.",
            Unknown,
        ),
        ("ERR wrong number of arguments for 'config|get' command", Unknown),
        ("ERR ACL failure in script: User v has no permissions to run the 'incr' command", Unknown),
        ("ERR Number of keys can't be greater than number of args", Unknown),
        ("ERR user_script:1: x script: on @user_script:1.", Unknown),
        ("ERR later", Unknown),
        ("MY thing", Unknown),
    ];

    #[test]
    fn script_error_is_not_applied_only_for_checks_before_the_script() {
        for (text, outcome) in REPLIES {
            for name in ["EVAL", "evalsha", "FCALL_RO"] {
                let error = ServerError::new(name, text.as_bytes());
                assert_eq!(error.outcome(), outcome, "{name}: {text}");
            }
            assert_eq!(ServerError::new("XADD", text.as_bytes()).outcome(), NotApplied, "{text}");
        }
    }

    #[test]
    fn raw_command_outcome_is_unknown_for_err_and_unknown_codes() {
        for (text, outcome) in [
            ("WRONGTYPE text", NotApplied),
            ("NOGROUP text", NotApplied),
            ("ERR text", Unknown),
            ("NEWCODE text", Unknown),
        ] {
            assert_eq!(ServerError::new(RAW, text.as_bytes()).outcome(), outcome, "{text}");
        }
    }
}
