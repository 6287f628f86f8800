//! Commands on keys of any kind. No I/O.

use super::call::{Answer, Call};
use super::database::Value;
use super::{Reply, errors};

/// `DEL key [key ...]`, and UNLINK.
pub(super) fn del(call: &mut Call<'_>) -> Answer {
    let mut deleted = 0;
    for key in call.args.from(1) {
        if call.database().remove(key) {
            call.ready(key);
            call.modified(key);
            deleted += 1;
        }
    }
    Ok(Reply::Integer(deleted))
}

/// `EXISTS key [key ...]`
pub(super) fn exists(call: &mut Call<'_>) -> Answer {
    let keys = call.args.from(1);
    Ok(Reply::count(keys.iter().filter(|key| call.database().get(key).is_some()).count()))
}

/// `TYPE key`
pub(super) fn kind(call: &mut Call<'_>) -> Answer {
    let key = call.args.at(1);
    Ok(Reply::Simple(match call.database().get(key) {
        None => "none",
        Some(Value::Text(_)) => "string",
        Some(Value::Stream(_)) => "stream",
    }))
}

/// `SET key value`, without options.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    if call.args.len() > 3 {
        return Err(errors::syntax());
    }
    let (key, value) = (call.args.at(1), call.args.at(2));
    call.database().set(key.clone(), Value::Text(value.clone()));
    call.ready(key);
    call.modified(key);
    Ok(Reply::Simple("OK"))
}

/// `GET key`
pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let key = call.args.at(1);
    match call.database().get(key) {
        None => Ok(Reply::Null),
        Some(Value::Text(text)) => Ok(Reply::Bulk(text.clone())),
        Some(Value::Stream(_)) => Err(errors::wrong_type()),
    }
}

/// `DBSIZE`
pub(super) fn dbsize(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.database().len()))
}

/// `FLUSHDB [ASYNC|SYNC]`
pub(super) fn flushdb(call: &mut Call<'_>) -> Answer {
    check_flush(call)?;
    flush(call);
    Ok(Reply::Simple("OK"))
}

/// `FLUSHALL [ASYNC|SYNC]`
pub(super) fn flushall(call: &mut Call<'_>) -> Answer {
    check_flush(call)?;
    let selected = call.db;
    for db in 0..super::DATABASES {
        call.db = db;
        flush(call);
    }
    call.db = selected;
    Ok(Reply::Simple("OK"))
}

fn check_flush(call: &Call<'_>) -> Result<(), Reply> {
    let word = call.args.len() == 2 && (call.args.is(1, "ASYNC") || call.args.is(1, "SYNC"));
    if word || call.args.len() == 1 { Ok(()) } else { Err(errors::syntax()) }
}

fn flush(call: &mut Call<'_>) {
    for key in call.database().clear() {
        call.ready(&key);
        call.modified(&key);
    }
}
