//! Medians of rounds, by work, case, client and metric.

use crate::clients::Name;
use crate::record::Line;
use std::collections::BTreeMap;

/// The median of some rounds, with the minimum and the maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub rounds: usize,
}

impl Stat {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (n, min, max) = (values.len(), *values.first()?, *values.last()?);
        let median = (values[(n - 1) / 2] + values[n / 2]) / 2.0;
        Some(Self { median, min, max, rounds: n })
    }
}

/// Whether a higher or a lower figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

type Key = (String, String, String, String);

/// All results of a file.
#[derive(Debug, Default)]
pub struct Stats {
    stats: BTreeMap<Key, Stat>,
    /// Cases and clients, in the order of the file.
    order: Vec<(String, String, String)>,
}

impl Stats {
    pub fn of(lines: &[Line]) -> Self {
        let (mut values, mut order) = (BTreeMap::<Key, Vec<f64>>::new(), Vec::new());
        for line in lines {
            let Line::Run(run) = line else { continue };
            let place = (run.work.clone(), run.case.clone(), run.client.clone());
            for (metric, value) in &run.values {
                let (work, case, client) = place.clone();
                values.entry((work, case, client, metric.clone())).or_default().push(*value);
            }
            if !order.contains(&place) {
                order.push(place);
            }
        }
        let stats = values.into_iter().filter_map(|(key, values)| Some((key, Stat::of(values)?)));
        Self { stats: stats.collect(), order }
    }

    pub fn get(&self, work: &str, case: &str, client: &str, metric: &str) -> Option<Stat> {
        let key = (work.into(), case.into(), client.into(), metric.into());
        self.stats.get(&key).copied()
    }

    /// Returns the cases of a work, in the order in which they ran.
    pub fn cases(&self, work: &str) -> Vec<&str> {
        let mut cases = Vec::new();
        for (of, case, _) in &self.order {
            if of == work && !cases.contains(&case.as_str()) {
                cases.push(case.as_str());
            }
        }
        cases
    }

    /// Returns the labels of a case: the limits first, then the clients in their own order.
    pub fn clients(&self, work: &str, case: &str) -> Vec<&str> {
        let place = |client: &str| Name::ALL.iter().position(|name| name.label() == client);
        let here = self.order.iter().filter(|(w, c, _)| w == work && c == case);
        let mut clients: Vec<_> = here.map(|(_, _, client)| client.as_str()).collect();
        clients.sort_by_key(|client| place(client).map_or(0, |place| place + 1));
        clients
    }

    /// Returns the best peer and its median.
    pub fn best_peer(
        &self,
        work: &str,
        case: &str,
        metric: &str,
        better: Better,
    ) -> Option<(&'static str, f64)> {
        let peers = Name::ALL.iter().filter(|name| **name != Name::Bourn).map(|name| name.label());
        let medians =
            peers.filter_map(|name| Some((name, self.get(work, case, name, metric)?.median)));
        match better {
            Better::More => medians.max_by(|a, b| a.1.total_cmp(&b.1)),
            Better::Less => medians.min_by(|a, b| a.1.total_cmp(&b.1)),
        }
    }

    /// Returns bourn's median.
    pub fn bourn(&self, work: &str, case: &str, metric: &str) -> Option<f64> {
        Some(self.get(work, case, Name::Bourn.label(), metric)?.median)
    }

    /// Returns bourn's median divided by that of the best peer.
    pub fn ratio(&self, work: &str, case: &str, metric: &str, better: Better) -> Option<f64> {
        Some(self.bourn(work, case, metric)? / self.best_peer(work, case, metric, better)?.1)
    }

    /// Returns bourn's median divided by that of this client.
    pub fn ratio_to(&self, work: &str, case: &str, metric: &str, client: &str) -> Option<f64> {
        Some(self.bourn(work, case, metric)? / self.get(work, case, client, metric)?.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, Values};

    fn run(client: &str, round: u32, value: f64) -> Line {
        Line::Run(Record {
            work: "w".into(),
            case: "c".into(),
            client: client.into(),
            round,
            values: Values::from([("m".into(), value)]),
        })
    }

    #[test]
    fn best_peer_is_never_bourn_and_never_a_limit() {
        let lines = [
            run("raw", 0, 9.0),
            run("bourn", 0, 8.0),
            run("fred", 0, 2.0),
            run("fred", 1, 4.0),
            run("fred", 2, 3.0),
            run("rustis", 0, 1.0),
        ];
        let stats = Stats::of(&lines);
        assert_eq!(stats.best_peer("w", "c", "m", Better::More), Some(("fred", 3.0)));
        assert_eq!(stats.best_peer("w", "c", "m", Better::Less), Some(("rustis", 1.0)));
        assert_eq!(stats.ratio("w", "c", "m", Better::Less), Some(8.0));
        assert_eq!(stats.ratio_to("w", "c", "m", "raw"), Some(8.0 / 9.0));
        let fred = stats.get("w", "c", "fred", "m");
        assert_eq!(fred, Some(Stat { median: 3.0, min: 2.0, max: 4.0, rounds: 3 }));
        assert_eq!(stats.clients("w", "c"), ["raw", "bourn", "fred", "rustis"]);
    }
}
