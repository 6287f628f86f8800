//! An in-memory server for tests.
#![allow(dead_code, reason = "the server around the store uses it")]

mod store;
