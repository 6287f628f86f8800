//! The debug output of fields: a map of names and values, escaped. No I/O.

use std::fmt;

/// Formats fields as `{"name": "value"}`, escaped.
pub(crate) fn show<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str("{")?;
    for (i, (name, value)) in fields.enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}\"{}\": \"{}\"", name.escape_ascii(), value.escape_ascii())?;
    }
    f.write_str("}")
}
