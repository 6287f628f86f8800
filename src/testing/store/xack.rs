//! XACK. No I/O.

use super::Reply;
use super::call::{Answer, Call};
use super::delete::ids;

/// `XACK key group id [id ...]`
pub(super) fn xack(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let key = args.at(1);
    let stream = call.stream(key)?;
    let group = stream.and_then(|stream| stream.groups.get_mut(args.at(2)));
    let Some(group) = group else { return Ok(Reply::Integer(0)) };
    let acked = ids(args.from(3))?.into_iter().filter(|id| group.remove(*id)).count();
    if acked > 0 {
        call.modified(key);
    }
    Ok(Reply::count(acked))
}
