//! The addresses of a name: resolved with a time limit, and raced.
//!
//! As in RFC 8305 ("happy eyeballs"), IPv6 and IPv4 alternate, in the resolver's order. Each
//! address has a head start of 250 ms before the next one is tried in parallel. After a failure the
//! next one is tried immediately. The first connection wins.
//!
//! The operating system's resolver cannot be interrupted. It runs on its own thread, so that
//! neither the runtime's shutdown nor its blocking tasks wait for it. A client has at most one
//! lookup in progress: later attempts wait for the same one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// The time that an address has before the next one is tried in parallel.
const HEAD_START: Duration = Duration::from_millis(250);

type Found = io::Result<Vec<SocketAddr>>;

/// Resolves the name of one server.
pub(super) struct Resolver {
    lookup: fn(&str, u16) -> Found,
    turns: tokio::sync::Mutex<Lookups>,
}

/// The lookup in progress, and the last one that succeeded.
#[derive(Default)]
struct Lookups {
    in_flight: Option<oneshot::Receiver<(Instant, Found)>>,
    last: Option<(Instant, Vec<SocketAddr>)>,
}

impl Resolver {
    /// Creates a resolver that asks the operating system.
    pub(super) fn of_system() -> Self {
        Self::by(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }

    fn by(lookup: fn(&str, u16) -> Found) -> Self {
        Self { lookup, turns: tokio::sync::Mutex::default() }
    }

    /// Returns the addresses of a name. An IP address resolves to itself.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Found {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let asked = Instant::now();
        // An attempt that is dropped leaves its lookup to the next one.
        let mut turns = self.turns.lock().await;
        let Lookups { in_flight, last } = &mut *turns;
        loop {
            if let Some((_, addresses)) = last.as_ref().filter(|(came, _)| *came >= asked) {
                return Ok(addresses.clone());
            }
            let lookup = match in_flight {
                Some(lookup) => lookup,
                None => in_flight.insert(self.begin(host, port)?),
            };
            let answer = lookup.await;
            *in_flight = None;
            match answer {
                Ok((came, Ok(addresses))) => *last = Some((came, addresses)),
                Ok((came, Err(error))) if came >= asked => return Err(error),
                // A failure from before this attempt is ignored.
                Ok(_) => {}
                Err(_) => return Err(io::Error::other("the resolver's thread panicked")),
            }
        }
    }

    fn begin(&self, host: &str, port: u16) -> io::Result<oneshot::Receiver<(Instant, Found)>> {
        let (sender, receiver) = oneshot::channel();
        let (lookup, host) = (self.lookup, host.to_owned());
        thread::Builder::new().name("bourn-resolver".into()).spawn(move || {
            let found = lookup(&host, port);
            // The client may have been dropped.
            let _ = sender.send((Instant::now(), found));
        })?;
        Ok(receiver)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// The addresses that an attempt has tried, with the errors of those that failed.
#[derive(Debug, Default)]
pub(super) struct Tried(Mutex<Vec<(SocketAddr, Option<io::Error>)>>);

impl Tried {
    pub(super) fn is_empty(&self) -> bool {
        self.with(|tried| tried.is_empty())
    }

    fn begin(&self, address: SocketAddr) {
        self.with(|tried| tried.push((address, None)));
    }

    fn failed(&self, address: SocketAddr, error: io::Error) {
        self.with(|tried| {
            if let Some((_, failed)) = tried.iter_mut().find(|(tried, _)| *tried == address) {
                *failed = Some(error);
            }
        });
    }

    /// Returns the most informative error, with all addresses in its text; for a single address,
    /// the error itself.
    fn error(&self) -> io::Error {
        let text = self.to_string();
        self.with(|tried| match &mut tried[..] {
            [] => io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"),
            [(_, error @ Some(_))] => error.take().unwrap_or_else(|| io::Error::other(text)),
            several => {
                let kinds = several.iter().filter_map(|(_, error)| Some(error.as_ref()?.kind()));
                let kind = kinds.max_by_key(|kind| rank(*kind));
                io::Error::new(kind.unwrap_or(io::ErrorKind::Other), text)
            }
        })
    }

    fn with<T>(&self, access: impl FnOnce(&mut Vec<(SocketAddr, Option<io::Error>)>) -> T) -> T {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Formats the addresses as `10.0.0.1:6379 (Connection refused), [::1]:6379 (no answer)`.
impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|tried| {
            for (n, (address, error)) in tried.iter().enumerate() {
                f.write_str(if n == 0 { "" } else { ", " })?;
                match error {
                    Some(error) => write!(f, "{address} ({error})")?,
                    None => write!(f, "{address} (no answer)")?,
                }
            }
            Ok(())
        })
    }
}

/// Returns the rank of an error: a refusal comes from the host itself, a missing route from the
/// local network.
fn rank(kind: io::ErrorKind) -> u8 {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
        PermissionDenied,
    };
    match kind {
        PermissionDenied => 3,
        ConnectionRefused | ConnectionReset => 2,
        AddrNotAvailable | HostUnreachable | NetworkUnreachable => 0,
        _ => 1,
    }
}

/// Connects to the first address that answers.
pub(super) async fn race<T, F>(
    addresses: &[SocketAddr],
    tried: &Tried,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut next = interleave(addresses).into_iter().peekable();
    let mut in_flight: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut head_start = pin!(sleep(HEAD_START));
    poll_fn(|cx| {
        loop {
            let (mut won, mut failed) = (None, false);
            in_flight.retain_mut(|(address, attempt)| match attempt.as_mut().poll(cx) {
                _ if won.is_some() => false,
                Poll::Pending => true,
                Poll::Ready(Ok(connected)) => {
                    won = Some(connected);
                    false
                }
                Poll::Ready(Err(error)) => {
                    tried.failed(*address, error);
                    failed = true;
                    false
                }
            });
            if let Some(connected) = won {
                return Poll::Ready(Ok(connected));
            }
            let due = failed || in_flight.is_empty();
            if next.peek().is_some() && (due || head_start.as_mut().poll(cx).is_ready()) {
                if let Some(address) = next.next() {
                    tried.begin(address);
                    in_flight.push((address, Box::pin(connect(address))));
                    head_start.as_mut().reset(tokio::time::Instant::now() + HEAD_START);
                }
            } else if in_flight.is_empty() {
                return Poll::Ready(Err(tried.error()));
            } else {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Returns the addresses without duplicates, alternating between the families; the first address's
/// family begins.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv6);
    let (mut ones, mut others): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| Some(address.is_ipv6()) == first);
    let mut turns = Vec::with_capacity(addresses.len());
    ones.reverse();
    others.reverse();
    while !ones.is_empty() || !others.is_empty() {
        for address in [ones.pop(), others.pop()].into_iter().flatten() {
            if !turns.contains(&address) {
                turns.push(address);
            }
        }
    }
    turns
}

#[cfg(test)]
mod tests;
