//! CONFIG. No I/O.

use super::super::state::{Key, State};
use super::super::store::{Release, Reply};
use super::answer::Answer;
use super::arguments::{Arguments, syntax};
use bytes::Bytes;

/// `CONFIG GET pattern ...`, `CONFIG SET name value ...`, RESETSTAT
pub(super) fn config(state: &mut State, _: Key, args: Arguments<'_>) -> Answer {
    match args.text(1).to_ascii_uppercase().as_str() {
        "GET" => {
            let found = args
                .from(2)
                .iter()
                .flat_map(|pattern| state.settings.matching(&String::from_utf8_lossy(pattern)));
            let bulk = |(name, value): (&str, &Bytes)| {
                (Reply::Bulk(Bytes::copy_from_slice(name.as_bytes())), Reply::Bulk(value.clone()))
            };
            Ok(Reply::Map(found.map(bulk).collect()))
        }
        "SET" => {
            for pair in args.from(2).chunks(2) {
                let [name, value] = pair else { return Err(syntax()) };
                set(state, &String::from_utf8_lossy(name), value)?;
            }
            Ok(Reply::Simple("OK"))
        }
        _ => Ok(Reply::Simple("OK")),
    }
}

fn set(state: &mut State, name: &str, value: &Bytes) -> Result<(), Reply> {
    let old = !state.release().has(Release::Redis7_0);
    state.settings.set(name, value.clone()).ok_or_else(|| {
        Reply::error(if old {
            format!("ERR Unsupported CONFIG parameter: {name}")
        } else {
            format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        })
    })?;
    match name.to_ascii_lowercase().as_str() {
        "requirepass" => state.users.require(value),
        "stream-node-max-entries" => {
            let entries = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            entries.into_iter().for_each(|entries| state.store.set_node_max_entries(entries));
        }
        _ => {}
    }
    Ok(())
}
