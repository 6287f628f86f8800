//! What happens when the server, the network or the caller does not do what it should.
//!
//! The modules are `cfg(test)` for clippy, which lets tests unwrap only where it sees that they are tests.

#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod room;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod stray;
#[cfg(test)]
mod time;
#[cfg(test)]
mod wire;
