//! ACL: users and their permissions. No I/O.

use super::super::state::{Key, State};
use super::super::store::Reply;
use super::answer::Answer;
use super::arguments::{Arguments, syntax};
use bytes::Bytes;

/// `ACL SETUSER name rule ...`, DELUSER, WHOAMI, USERS
pub(super) fn acl(state: &mut State, key: Key, args: Arguments<'_>) -> Answer {
    match args.text(1).to_ascii_uppercase().as_str() {
        "SETUSER" => {
            let set = state.users.set(args.at(2), args.from(3));
            set.map(|()| Reply::Simple("OK")).map_err(|rule| {
                let rule = String::from_utf8_lossy(&rule).into_owned();
                Reply::error(format!("ERR Error in ACL SETUSER modifier '{rule}': Syntax error"))
            })
        }
        "DELUSER" => {
            let removed = args.from(2).iter().filter(|name| state.users.remove(name)).count();
            Ok(Reply::count(removed))
        }
        "WHOAMI" => {
            let Some(session) = state.session(key) else { return Err(syntax()) };
            Ok(Reply::Bulk(Bytes::from(session.user_name())))
        }
        "USERS" => Ok(Reply::Array(state.users.names().map(Reply::Bulk).collect())),
        _ => Err(syntax()),
    }
}
