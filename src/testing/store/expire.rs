//! Expiry of keys. No I/O.

use super::call::{Answer, Call};
use super::{Release, Reply};

/// `EXPIRE key seconds [NX|XX|GT|LT]`
pub(super) fn expire(call: &mut Call<'_>) -> Answer {
    set(call, "expire", 1000, call.now)
}

/// `PEXPIRE key ms [NX|XX|GT|LT]`
pub(super) fn pexpire(call: &mut Call<'_>) -> Answer {
    set(call, "pexpire", 1, call.now)
}

/// `EXPIREAT key seconds [NX|XX|GT|LT]`
pub(super) fn expireat(call: &mut Call<'_>) -> Answer {
    set(call, "expireat", 1000, 0)
}

/// `PEXPIREAT key ms [NX|XX|GT|LT]`
pub(super) fn pexpireat(call: &mut Call<'_>) -> Answer {
    set(call, "pexpireat", 1, 0)
}

/// The conditions of an expiry.
#[derive(Debug, Clone, Copy, Default)]
struct Conditions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Conditions {
    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let mut conditions = Self::default();
        for (index, word) in call.args.from(3).iter().enumerate() {
            let option = |name| call.args.is(3 + index, name);
            match () {
                () if option("NX") => conditions.if_none = true,
                () if option("XX") => conditions.if_any = true,
                () if option("GT") => conditions.if_later = true,
                () if option("LT") => conditions.if_earlier = true,
                () => return Err(super::errors::words(&[b"ERR Unsupported option ", word])),
            }
        }
        if conditions.if_none && (conditions.if_any || conditions.if_later || conditions.if_earlier)
        {
            let error = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(Reply::error(error));
        }
        if conditions.if_later && conditions.if_earlier {
            let error = "ERR GT and LT options at the same time are not compatible";
            return Err(Reply::error(error));
        }
        Ok(conditions)
    }

    /// Whether they hold for a new time, given the one before. No time is later than any.
    fn hold(self, before: Option<u64>, time: i64) -> bool {
        let before = before.map_or(i64::MAX, signed);
        let none = before == i64::MAX;
        !(self.if_none && !none
            || self.if_any && none
            || self.if_later && (none || time <= before)
            || self.if_earlier && time >= before)
    }
}

fn set(call: &mut Call<'_>, name: &str, unit_ms: i64, from: i64) -> Answer {
    let conditions = Conditions::parse(call)?;
    let number = call.args.integer(2)?;
    let time = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(from));
    let Some(time) = time else {
        let quote = if call.has(Release::Redis7_0) { "'" } else { "" };
        let command = if quote.is_empty() { "" } else { " command" };
        let error = format!("ERR invalid expire time in {quote}{name}{quote}{command}");
        return Err(Reply::error(error));
    };
    let key = call.args.at(1);
    let Some(before) = call.database().expiry(key) else { return Ok(Reply::Integer(0)) };
    if !conditions.hold(before, time) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(time) {
        Ok(at) if time > call.now => call.database().set_expiry(key, Some(at)),
        _ => {
            call.database().remove(key);
            call.ready(key);
        }
    }
    call.modified(key);
    Ok(Reply::Integer(1))
}

/// `TTL key`
pub(super) fn ttl(call: &mut Call<'_>) -> Answer {
    // It is rounded to the nearest second.
    left(call, |ms| ms.saturating_add(500) / 1000)
}

/// `PTTL key`
pub(super) fn pttl(call: &mut Call<'_>) -> Answer {
    left(call, |ms| ms)
}

fn left(call: &mut Call<'_>, unit: impl Fn(i64) -> i64) -> Answer {
    let (now, key) = (call.now, call.args.at(1));
    Ok(Reply::Integer(match call.database().expiry(key) {
        None => -2,
        Some(None) => -1,
        Some(Some(time)) => unit(signed(time).saturating_sub(now)),
    }))
}

/// `PERSIST key`
pub(super) fn persist(call: &mut Call<'_>) -> Answer {
    let key = call.args.at(1);
    let had = matches!(call.database().expiry(key), Some(Some(_)));
    if had {
        call.database().set_expiry(key, None);
        call.modified(key);
    }
    Ok(Reply::Integer(had.into()))
}

fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
