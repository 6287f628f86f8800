//! The real queue on the in-memory server, in paused time, on every version whose commands differ.

#[cfg(test)]
mod acknowledgements;
#[cfg(test)]
mod alone;
#[cfg(test)]
mod caller_code;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod closed_consumers;
#[cfg(test)]
mod consumer;
#[cfg(test)]
mod consumer_names;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod dead_letter_crashes;
#[cfg(test)]
mod dead_letter_moves;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod dedupe_window;
#[cfg(test)]
mod delays;
#[cfg(test)]
mod deleted_entries;
#[cfg(test)]
mod deleted_streams;
#[cfg(test)]
mod dial;
#[cfg(test)]
mod durable;
#[cfg(test)]
mod failing_handlers;
#[cfg(test)]
mod given_back;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod health;
#[cfg(test)]
mod heartbeats;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod lazy;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod lost_acknowledgements;
#[cfg(test)]
mod lost_copies;
#[cfg(test)]
mod lost_timers;
#[cfg(test)]
mod many_workers;
#[cfg(all(test, feature = "metrics"))]
mod metrics;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod other_clients;
#[cfg(test)]
mod other_groups;
#[cfg(test)]
mod out_of_memory;
#[cfg(test)]
mod partitioned;
#[cfg(test)]
mod process;
#[cfg(test)]
mod producer;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod recurring;
#[cfg(test)]
mod redrive;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod relay_crashes;
#[cfg(test)]
mod relays;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod server_clock;
#[cfg(test)]
mod settlement;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod support;
#[cfg(test)]
mod suspended;
#[cfg(test)]
mod test_queue;
#[cfg(test)]
mod trimmed;
#[cfg(test)]
mod unknown_outcomes;
#[cfg(test)]
mod wheel;
#[cfg(test)]
mod worker;
#[cfg(test)]
mod worker_faults;
