//! A client: batches, transactions, ranges, tails, handshake, limits, restarts and closing.

mod batches;
mod closing;
mod credentials;
mod handshake;
mod limits;
mod range;
mod restart;
mod scripts;
mod tail;
mod transactions;
mod version;
