//! RESP2 and RESP3, in and out: bytes only. Pure.
//!
//! | byte | type | content | RESP |
//! |---|---|---|---|
//! | `+` | simple string | to CRLF | 2, 3 |
//! | `-` | error | to CRLF | 2, 3 |
//! | `:` | integer | signed 64 bits | 2, 3 |
//! | `$` | bulk string | length, CRLF, bytes, CRLF; `$-1` is null | 2, 3 |
//! | `*` | array | count, CRLF, values; `*-1` is null | 2, 3 |
//! | `_` | null | nothing | 3 |
//! | `%` | map | count of pairs, CRLF, key and value by turns | 3 |
//! | `~` | set | count, CRLF, values | 3 |
//! | `>` | push | count, CRLF, values; only between replies | 3 |
//! | `\|` | attribute | count of pairs, the pairs, then the value it describes | 3 |
//! | `,` | double | text, `inf`, `-inf` or `nan` | 3 |
//! | `#` | boolean | `t` or `f` | 3 |
//! | `(` | big number | digits | 3 |
//! | `=` | verbatim string | length, CRLF, three letters, `:`, bytes, CRLF | 3 |
//! | `!` | bulk error | length, CRLF, bytes, CRLF | 3 |
//! | `$?` `;` | streamed string | chunks `;LEN`, ended by `;0` | 3 |
//! | `*?` `~?` `%?` `.` | streamed array, set, map | values, ended by `.` | 3 |
//!
//! The order of work: [`Scanner`] finds where a reply ends and checks every header on the way, [`Frame`] holds the
//! reply's bytes, [`Cursor`] walks them. [`Value`] is the slow way round: an owned tree, read by a parser of its own that
//! the fast one is tested against. [`Args`] is the way out.

mod cursor;
mod error;
mod frame;
mod limits;
mod line;
mod scan;
mod value;
mod value_parse;
mod value_print;
mod write;

#[cfg(feature = "tokio")]
mod codec;

#[cfg(feature = "tokio")]
pub use codec::{RespCodec, RespCodecError};
pub use cursor::{Cursor, Token};
pub use error::{DecodeError, ProtocolError};
pub use frame::Frame;
pub use limits::Limits;
pub use scan::Scanner;
pub(crate) use scan::short_length;
pub use value::{List, Value};
pub use write::{Args, Measure, Writer};
pub(crate) use write::{Sealed, decimal};
