//! redis-rs 2.0, the release candidate.

super::redis::client!(Redis2, redis2);
