//! Commands on keys.

use super::{SECOND, check};
use bourn::command::encode;
use bourn::{Del, Exists, Expire, ExpireWhen, PExpire, Type, Unlink};
use std::time::Duration;

#[test]
fn key_commands_encode_every_key() {
    check([
        (encode(&Del::new("s")), "DEL s"),
        (encode(&Del::new("s").and("t").and("s")), "DEL s t s"),
        (encode(&Unlink::new("s")), "UNLINK s"),
        (encode(&Unlink::new("s").and("t")), "UNLINK s t"),
        (encode(&Exists::new("s")), "EXISTS s"),
        (encode(&Exists::new("s").and("s")), "EXISTS s s"),
        (encode(&Type::new("s")), "TYPE s"),
    ]);
}

#[test]
fn expiry_commands_encode_every_option() {
    let (expire, p_expire) = (|| Expire::new("s", SECOND), || PExpire::new("s", SECOND));
    let nano = Duration::from_nanos(1);
    check([
        (encode(&expire()), "EXPIRE s 1"),
        (encode(&Expire::new("s", SECOND + nano)), "EXPIRE s 2"),
        (encode(&Expire::new("s", Duration::ZERO)), "EXPIRE s 0"),
        (encode(&expire().when(ExpireWhen::NoExpiry)), "EXPIRE s 1 NX"),
        (encode(&expire().when(ExpireWhen::HasExpiry)), "EXPIRE s 1 XX"),
        (encode(&expire().when(ExpireWhen::Later)), "EXPIRE s 1 GT"),
        (encode(&expire().when(ExpireWhen::Earlier)), "EXPIRE s 1 LT"),
        (encode(&p_expire()), "PEXPIRE s 1000"),
        (encode(&PExpire::new("s", SECOND + nano)), "PEXPIRE s 1001"),
        (encode(&p_expire().when(ExpireWhen::NoExpiry)), "PEXPIRE s 1000 NX"),
        (encode(&p_expire().when(ExpireWhen::HasExpiry)), "PEXPIRE s 1000 XX"),
        (encode(&p_expire().when(ExpireWhen::Later)), "PEXPIRE s 1000 GT"),
        (encode(&p_expire().when(ExpireWhen::Earlier)), "PEXPIRE s 1000 LT"),
    ]);
}
