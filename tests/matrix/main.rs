//! The matrix: every command with every option, on every server, in RESP2 and RESP3, with what each version answers.
//!
//! | file | what is in it |
//! |---|---|
//! | `table` | the rows: command, option, case, what is wanted, and what to do to get it |
//! | `want` | what each version answers, and which are too old |
//! | `db` | what a row works on: a client of an empty server, and what most rows need |
//! | `show`, `show_info` | replies as short texts |
//! | `live` | runs the rows |
//! | `print` | the table as Markdown, here and in docs/server-matrix.md |
//! | `covered` | no command and no option is without a row |
//! | `xadd` ... | the rows, a file for each family of commands |
//!
//! `BOURN_MATRIX` says which servers: labels with blanks between them; without it, the one that other tests use. A row
//! that a server is too old for has to end in [`bourn::Error::TooOld`]: no row is skipped.

#[path = "../server/support.rs"]
mod support;

// Said again for clippy, which takes only what is marked so for a test, where an index may panic.
#[cfg(test)]
mod covered;
#[cfg(test)]
mod db;
#[cfg(test)]
mod live;
#[cfg(test)]
mod print;
#[cfg(test)]
mod show;
#[cfg(test)]
mod show_info;
#[cfg(test)]
mod table;
#[cfg(test)]
mod want;

#[cfg(test)]
mod connection;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod server;
#[cfg(test)]
mod xack;
#[cfg(test)]
mod xadd;
#[cfg(test)]
mod xautoclaim;
#[cfg(test)]
mod xclaim;
#[cfg(test)]
mod xgroup;
#[cfg(test)]
mod xinfo;
#[cfg(test)]
mod xnack;
#[cfg(test)]
mod xpending;
#[cfg(test)]
mod xrange;
#[cfg(test)]
mod xread;
#[cfg(test)]
mod xreadgroup;
#[cfg(test)]
mod xsetid;
#[cfg(test)]
mod xtrim;

/// All rows, in the order of the printed table.
#[cfg(test)]
fn all() -> table::Table {
    let mut table = table::Table::default();
    for rows in [
        xadd::rows,
        xtrim::rows,
        xrange::rows,
        xread::rows,
        xreadgroup::rows,
        xack::rows,
        xpending::rows,
        xclaim::rows,
        xautoclaim::rows,
        xnack::rows,
        xgroup::rows,
        xinfo::rows,
        xsetid::rows,
        keys::rows,
        connection::rows,
        server::rows,
    ] {
        rows(&mut table);
    }
    table
}
