//! The real queue on the in-memory server, in paused time: each test scripts one fault.

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod support;
