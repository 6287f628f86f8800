//! A URL is parsed or rejected, and its password is not shown.

use bourn::Config;
use std::fmt::Write;

/// Runs one input: as a URL, and as the password in others.
///
/// # Panics
///
/// A property does not hold.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Config>() {
        Ok(config) => {
            assert_eq!(config.check(), Ok(()), "a URL that is read is a fit one");
            hidden(config);
        }
        Err(error) => drop(format!("{error} {error:?}")),
    }
    let password = percent(text);
    for place in ["h", "h:70000", "[::", "h/x", "h?colour=red", "h?db=x", "h?client_name=a%20b"] {
        let with = |password: &str| format!("redis://u:{password}@{place}").parse::<Config>();
        match (with(&password), with("other")) {
            (Ok(config), Ok(_)) => hidden(config),
            // The error is the same, so it does not show the password.
            (this, other) => assert_eq!(this.err(), other.err(), "at {place}"),
        }
    }
}

/// With another password the settings look the same, so they do not show it.
fn hidden(config: Config) {
    let shown = format!("{config:?}");
    if !shown.contains("password: None") {
        assert_eq!(format!("{:?}", config.password("other")), shown);
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").expect("room");
        out
    })
}
