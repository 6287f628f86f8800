//! What happens when the server, the network or the caller does not do what it should.
mod cancel;
mod cuts;
mod echo;
mod flood;
mod hostile;
mod memory;
mod peer;
mod reading;
mod reconnect;
mod room;
mod schedules;
mod secrets;
mod shapes;
mod stray;
mod time;
mod wire;
mod backpressure;
