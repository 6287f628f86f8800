//! XINFO replies: every field by the server's name, and none left over.

use super::fields::{Fields, matches_all};
use super::json::{Json, count, integer, tuple};
use super::meaning::Means;
use bourn::{
    Active, ConsumerInfo, ConsumerInfoFull, ConsumerPending, Entry, EntryId, GroupInfo,
    GroupInfoFull, GroupPending, IdmpInfo, StreamInfo, StreamInfoFull,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Means for StreamInfo {
    fn means(&self, value: &Json) -> bool {
        self.extra.is_empty()
            && matches_all(value, |fields| {
                let since_7 = (
                    &self.max_deleted_entry_id,
                    &self.entries_added,
                    &self.recorded_first_entry_id,
                );
                fields.mean("length", &self.length)
                    && fields.mean("radix-tree-keys", &self.radix_tree_keys)
                    && fields.mean("radix-tree-nodes", &self.radix_tree_nodes)
                    && fields.mean("last-generated-id", &self.last_generated_id)
                    && is_since_7(since_7, fields)
                    && is_idmp(self.idmp.as_ref(), fields)
                    && fields.mean("groups", &self.groups)
                    && fields.mean("first-entry", &self.first_entry)
                    && fields.mean("last-entry", &self.last_entry)
            })
    }
}

impl Means for StreamInfoFull {
    fn means(&self, value: &Json) -> bool {
        self.extra.is_empty()
            && matches_all(value, |fields| {
                let since_7 = (
                    &self.max_deleted_entry_id,
                    &self.entries_added,
                    &self.recorded_first_entry_id,
                );
                fields.mean("length", &self.length)
                    && fields.mean("radix-tree-keys", &self.radix_tree_keys)
                    && fields.mean("radix-tree-nodes", &self.radix_tree_nodes)
                    && fields.mean("last-generated-id", &self.last_generated_id)
                    && is_since_7(since_7, fields)
                    && is_idmp(self.idmp.as_ref(), fields)
                    && fields.mean("entries", &self.entries)
                    && fields.mean("groups", &self.groups)
            })
    }
}

type Since7<'a> = (&'a Option<EntryId>, &'a Option<u64>, &'a Option<EntryId>);

fn is_since_7((deleted, added, first): Since7<'_>, fields: &mut Fields<'_>) -> bool {
    fields.mean_if_there("max-deleted-entry-id", deleted)
        && fields.mean_if_there("entries-added", added)
        && fields.mean_if_there("recorded-first-entry-id", first)
}

fn is_idmp(info: Option<&IdmpInfo>, fields: &mut Fields<'_>) -> bool {
    let seconds =
        |time: Duration, value: &Json| count(value).map(Duration::from_secs) == Some(time);
    fields.matches("idmp-duration", info.map(|info| info.duration), seconds)
        && fields.mean_if_there("idmp-maxsize", &info.map(|info| info.max_size))
        && fields.mean_if_there("pids-tracked", &info.map(|info| info.pids_tracked))
        && fields.mean_if_there("iids-tracked", &info.map(|info| info.iids_tracked))
        && fields.mean_if_there("iids-added", &info.map(|info| info.iids_added))
        && fields.mean_if_there("iids-duplicates", &info.map(|info| info.iids_duplicates))
}

impl Means for Entry {
    fn means(&self, value: &Json) -> bool {
        self.by_ref().means(value)
    }
}

impl Means for GroupInfo {
    fn means(&self, value: &Json) -> bool {
        self.extra.is_empty()
            && matches_all(value, |fields| {
                fields.mean("name", &self.name)
                    && fields.mean("consumers", &self.consumers)
                    && fields.mean("pending", &self.pending)
                    && fields.mean("last-delivered-id", &self.last_delivered_id)
                    && fields.mean_if_known("entries-read", &self.entries_read)
                    && fields.mean_if_known("lag", &self.lag)
            })
    }
}

impl Means for GroupInfoFull {
    fn means(&self, value: &Json) -> bool {
        self.extra.is_empty()
            && matches_all(value, |fields| {
                fields.mean("name", &self.name)
                    && fields.mean("last-delivered-id", &self.last_delivered_id)
                    && fields.mean_if_known("entries-read", &self.entries_read)
                    && fields.mean_if_known("lag", &self.lag)
                    && fields.mean("pel-count", &self.pel_count)
                    && fields.mean_if_there("nacked-count", &self.nacked_count)
                    && fields.mean("pending", &self.pending)
                    && fields.mean("consumers", &self.consumers)
            })
    }
}

impl Means for GroupPending {
    fn means(&self, value: &Json) -> bool {
        let Some([id, consumer, delivered, deliveries]) = tuple(value) else { return false };
        self.id.means(id)
            && self.consumer.means(consumer)
            && is_delivered(self.delivered, delivered)
            && self.deliveries.means(deliveries)
    }
}

impl Means for ConsumerPending {
    fn means(&self, value: &Json) -> bool {
        let Some([id, delivered, deliveries]) = tuple(value) else { return false };
        self.id.means(id)
            && is_delivered(self.delivered, delivered)
            && self.deliveries.means(deliveries)
    }
}

/// Whether this is a delivery time, which is 0 for a released entry.
fn is_delivered(delivered: Option<SystemTime>, ms: &Json) -> bool {
    delivered.map_or_else(|| integer(ms) == Some(0), |time| is_time(time, ms))
}

fn is_time(time: SystemTime, ms: &Json) -> bool {
    count(ms).is_some_and(|ms| time == UNIX_EPOCH + Duration::from_millis(ms))
}

fn is_ms(time: Duration, ms: &Json) -> bool {
    count(ms).map(Duration::from_millis) == Some(time)
}

/// Whether this is a last time, which is -1 for never.
fn is_active<T: Copy>(active: Active<T>, ms: &Json, same: impl Fn(T, &Json) -> bool) -> bool {
    match active {
        Active::Never => integer(ms) == Some(-1),
        Active::Last(time) => same(time, ms),
    }
}

impl Means for ConsumerInfo {
    fn means(&self, value: &Json) -> bool {
        self.extra.is_empty()
            && matches_all(value, |fields| {
                let is_inactive = |active, value: &Json| is_active(active, value, is_ms);
                fields.mean("name", &self.name)
                    && fields.mean("pending", &self.pending)
                    && fields.matches("idle", Some(self.idle), is_ms)
                    && fields.matches("inactive", self.inactive, is_inactive)
            })
    }
}

impl Means for ConsumerInfoFull {
    fn means(&self, value: &Json) -> bool {
        self.extra.is_empty()
            && matches_all(value, |fields| {
                let was_active = |active, value: &Json| is_active(active, value, is_time);
                fields.mean("name", &self.name)
                    && fields.matches("seen-time", Some(self.seen_time), is_time)
                    && fields.matches("active-time", self.active_time, was_active)
                    && fields.mean("pel-count", &self.pel_count)
                    && fields.mean("pending", &self.pending)
            })
    }
}
