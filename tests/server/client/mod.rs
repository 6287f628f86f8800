//! A client: several commands at once, transactions, tails, who it is to the server, and how it begins and ends.

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
