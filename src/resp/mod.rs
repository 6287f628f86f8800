//! The RESP2 and RESP3 protocols: encoding and decoding of bytes. No I/O.
//!
//! | byte | type | content | RESP |
//! |---|---|---|---|
//! | `+` | simple string | to CRLF | 2, 3 |
//! | `-` | error | to CRLF | 2, 3 |
//! | `:` | integer | signed 64 bits | 2, 3 |
//! | `$` | bulk string | length, CRLF, bytes, CRLF; `$-1` is null | 2, 3 |
//! | `*` | array | count, CRLF, values; `*-1` is null | 2, 3 |
//! | `_` | null | nothing | 3 |
//! | `%` | map | count of pairs, CRLF, alternating keys and values | 3 |
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
//! Decoding: [`Scanner`] finds the end of a reply and checks every header, [`Frame`] stores the
//! reply's bytes, [`Cursor`] iterates over them. [`Value`] is a slower alternative: an owned tree
//! with its own parser, which also serves as the oracle in tests. Encoding: a command lists its
//! arguments to [`Args`].

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
