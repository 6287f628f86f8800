//! redis-rs 1.x.

super::redis::client!(Redis1, redis1);
