//! Trimming: the options of XADD and XTRIM, and XTRIM. No I/O.

use super::call::{Answer, Call};
use super::delete::Policy;
use super::stream::{NodeLimits, Stream};
use super::{Release, Reply, errors};
use crate::id::EntryId;

/// The entries to trim.
#[derive(Debug, Clone, Copy)]
pub(super) enum Strategy {
    MaxLen(u64),
    MinId(EntryId),
}

/// The options of a trim.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trim {
    pub(super) strategy: Option<Strategy>,
    approximate: bool,
    limit: Option<u64>,
    policy: Option<Policy>,
}

impl Trim {
    /// Parses one option, and returns the number of arguments that it takes. 0: it is none.
    pub(super) fn parse_option(&mut self, call: &Call<'_>, index: usize) -> Result<usize, Reply> {
        let args = call.args;
        let more = args.more(index);
        let is_len = args.is(index, "MAXLEN");
        if more > 0 && (is_len || args.is(index, "MINID")) {
            if self.strategy.is_some() {
                return Err(Reply::error(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            self.approximate = more >= 2 && **args.at(index + 1) == *b"~";
            let sign = self.approximate || more >= 2 && **args.at(index + 1) == *b"=";
            let at = index + 1 + usize::from(sign);
            self.strategy = Some(if is_len {
                let len = args.integer(at)?;
                let negative = |_| Reply::error("ERR The MAXLEN argument must be >= 0.");
                Strategy::MaxLen(u64::try_from(len).map_err(negative)?)
            } else {
                Strategy::MinId(args.id(at)?)
            });
            return Ok(at + 1 - index);
        }
        if more > 0 && args.is(index, "LIMIT") {
            let negative = |_| Reply::error("ERR The LIMIT argument must be >= 0.");
            self.limit = Some(u64::try_from(args.integer(index + 1)?).map_err(negative)?);
            return Ok(2);
        }
        match Policy::parse(call, index) {
            Some(policy) if self.policy.is_none() => {
                self.policy = Some(policy);
                Ok(1)
            }
            _ => Ok(0),
        }
    }

    /// Checks the options together.
    pub(super) fn check(&self) -> Result<(), Reply> {
        if self.limit.is_some_and(|limit| limit > 0) && self.strategy.is_none() {
            return Err(Reply::error(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        Ok(())
    }

    /// Checks that LIMIT is used with `~` only.
    pub(super) fn check_limit(&self) -> Result<(), Reply> {
        if self.limit.is_some() && !self.approximate {
            return Err(Reply::error(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        Ok(())
    }

    /// Trims a stream, and returns the number of entries that were removed.
    pub(super) fn run(&self, stream: &mut Stream, limits: NodeLimits, release: Release) -> u64 {
        let Some(strategy) = self.strategy else { return 0 };
        // By default, a command removes no more than the entries of 100 nodes.
        let most = match self.limit {
            None if self.approximate => match limits.entries.saturating_mul(100) {
                0 => 10_000,
                most => most.min(1_000_000),
            },
            limit => limit.unwrap_or_default(),
        };
        let keep = self.keeps();
        if self.approximate && !keep && !release.has(Release::Redis8_6) {
            return 0;
        }
        let mut removed = 0;
        let mut from = EntryId::MIN;
        while let Some((key, len, last_added)) = stream.nodes.node_from(from) {
            let is_done = match strategy {
                Strategy::MaxLen(max) => stream.len() <= max,
                Strategy::MinId(_) => false,
            };
            if is_done || most > 0 && removed + len > most {
                break;
            }
            let whole = match strategy {
                Strategy::MaxLen(max) => stream.len() - len >= max,
                Strategy::MinId(id) => last_added < id,
            };
            if keep && whole {
                stream.nodes.remove_node(key);
                removed += len;
                continue;
            }
            if keep && self.approximate {
                break;
            }
            let (here, stopped) = self.trim_node(stream, strategy, key, release);
            removed += here;
            // A node that is not below the threshold as a whole stays, even without entries.
            if whole && stream.nodes.node_ids(key).is_empty() {
                stream.nodes.remove_node(key);
            }
            if stopped || keep {
                break;
            }
            let Some(next) = key.next() else { break };
            from = next;
        }
        removed
    }

    /// Whether pending entries stay as they are.
    const fn keeps(&self) -> bool {
        matches!(self.policy, None | Some(Policy::Keep))
    }

    /// Trims the entries of one node. Returns their number, and whether the end was reached.
    fn trim_node(
        &self,
        stream: &mut Stream,
        strategy: Strategy,
        key: EntryId,
        release: Release,
    ) -> (u64, bool) {
        let keep = self.keeps();
        let mut removed = 0;
        for id in stream.nodes.node_ids(key) {
            let stop = match strategy {
                Strategy::MaxLen(max) => stream.len() - if keep { removed } else { 0 } <= max,
                Strategy::MinId(min) => id >= min,
            };
            if stop {
                if keep {
                    let count = usize::try_from(removed).unwrap_or(usize::MAX);
                    stream.nodes.remove_first_of_node(key, count);
                }
                return (removed, true);
            }
            match self.policy {
                Some(Policy::Acked) if stream.is_referenced(id, release) => continue,
                Some(Policy::Delete) => stream.dereference(id),
                _ => {}
            }
            if !keep {
                stream.nodes.remove_in_node(key, id);
            }
            removed += 1;
        }
        if keep {
            stream.nodes.remove_first_of_node(key, usize::MAX);
        }
        (removed, false)
    }
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT n] [KEEPREF|DELREF|ACKED]`
pub(super) fn xtrim(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let mut trim = Trim::default();
    let mut index = 2;
    while index < args.len() {
        match trim.parse_option(call, index)? {
            0 => return Err(errors::syntax()),
            taken => index += taken,
        }
    }
    trim.check()?;
    if trim.strategy.is_none() {
        return Err(Reply::error(
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ));
    }
    trim.check_limit()?;
    let key = args.at(1);
    let (limits, release) = (call.limits, call.release);
    let Some(stream) = call.stream(key)? else { return Ok(Reply::Integer(0)) };
    let removed = trim.run(stream, limits, release);
    if removed > 0 {
        call.modified(key);
    }
    Ok(Reply::counter(removed))
}
