//! The help texts of XGROUP and XINFO. No I/O.

use super::call::{Answer, Call};
use super::{Release, Reply};

/// `XGROUP HELP`
pub(super) fn xgroup(call: &mut Call<'_>) -> Answer {
    let has_counter = call.has(Release::Redis7_0);
    let mut lines = vec![
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
    ];
    if has_counter {
        lines.extend([
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
        ]);
    }
    lines.extend([
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
    ]);
    if has_counter {
        lines.extend([
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ]);
    } else {
        lines.extend([
            "DESTROY <key> <groupname>    Remove the specified group.",
            "SETID <key> <groupname> <id|$>",
            "    Set the current group ID.",
        ]);
    }
    Ok(with_end(call, lines))
}

/// `XINFO HELP`
pub(super) fn xinfo(call: &mut Call<'_>) -> Answer {
    let lines = vec![
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    ];
    Ok(with_end(call, lines))
}

fn with_end(call: &Call<'_>, mut lines: Vec<&'static str>) -> Reply {
    let print = call.has(Release::Redis7_2);
    lines.extend(["HELP", if print { "    Print this help." } else { "    Prints this help." }]);
    Reply::Array(lines.into_iter().map(Reply::Simple).collect())
}
