//! The matrix: every command with every option, on every server, in RESP2 and RESP3, with the
//! answer of each version.
//!
//! | file | contents |
//! |---|---|
//! | `table` | the rows: command, option, case, expected answer, code |
//! | `want` | the answer of each version, and the versions that are too old |
//! | `db` | the subject of a row: a client of an empty server, and common preparations |
//! | `show`, `show_info` | replies as short texts |
//! | `host` | the server of a row, real or in memory |
//! | `live` | runs the rows |
//! | `print` | the table as Markdown, here and in docs/server-matrix.md |
//! | `covered` | a check that every command and option has a row |
//! | `xadd` ... | the rows, one file for each family of commands |
//!
//! `BOURN_MATRIX` selects the real servers, by labels separated by blanks; the default is that of
//! the other tests. The in-memory servers of all versions are tested with the same rows. No row is
//! skipped: on a server that is too old for it, the row must end in [`bourn::Error::TooOld`].

#[path = "../server/support.rs"]
mod support;

// For clippy, which allows an index that may panic only in code under `cfg(test)`.
#[cfg(test)]
mod covered;
#[cfg(test)]
mod db;
#[cfg(test)]
mod host;
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

/// Returns all rows, in the order of the printed table.
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
