//! Gauges of live state, read when somebody asks.

use std::time::Instant;

use crate::cache::EmbedState;
use crate::cache::store::State;
use crate::metrics::names;
use crate::state::Snapshot;

/// Sets every gauge that describes `snapshot`. Series of pools and peers that are gone disappear.
pub(super) fn refresh(snapshot: &Snapshot, now: Instant) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    for gauge in [
        &*names::QUEUE_REQUESTS,
        &*names::QUEUE_BYTES,
        &*names::QUEUE_TOKENS,
        &*names::PEER_INFLIGHT,
        &*names::PEER_UP,
        &*names::SINGLEFLIGHT_FLIGHTS,
        &*names::SINGLEFLIGHT_FOLLOWERS,
        &*names::CACHE_ENTRIES,
        &*names::CACHE_BYTES,
        &*names::CACHE_VECTORS,
        &*names::EMBEDDER_READY,
        &*names::CACHE_STORE_READY,
        &*names::CACHE_STORE_BYTES,
        &*names::CACHE_STORE_WAITING,
        &*names::CACHE_STORE_LOST,
        &*names::CACHE_STORE_DAMAGED,
    ] {
        gauge.reset();
    }
    for (name, pool) in &snapshot.pools {
        names::QUEUE_REQUESTS
            .with_label_values(&[name])
            .set(count(pool.queue.len() as u64));
        names::QUEUE_BYTES
            .with_label_values(&[name])
            .set(count(pool.queue.bytes()));
        for peer in pool.balance.views(now) {
            let address = peer.addr.to_string();
            let labels = [name.as_str(), address.as_str()];
            names::QUEUE_TOKENS
                .with_label_values(&labels)
                .set(count(peer.queued_tokens));
            names::PEER_INFLIGHT
                .with_label_values(&labels)
                .set(i64::from(peer.in_flight));
            names::PEER_UP
                .with_label_values(&labels)
                .set(i64::from(!peer.draining && peer.state.usable()));
        }
    }
    for (name, cache) in &snapshot.caches {
        let stats = cache.stats();
        names::SINGLEFLIGHT_FLIGHTS
            .with_label_values(&[name])
            .set(count(stats.flights));
        names::SINGLEFLIGHT_FOLLOWERS
            .with_label_values(&[name])
            .set(count(stats.followers));
        names::CACHE_ENTRIES
            .with_label_values(&[name])
            .set(count(stats.entries));
        names::CACHE_BYTES
            .with_label_values(&[name])
            .set(count(stats.bytes));
        for (route, precision) in super::curve::precision(cache) {
            names::CACHE_PRECISION
                .with_label_values(&[name.as_str(), &route])
                .set(precision);
        }
        if let Some(store) = &stats.store {
            let ready = u64::from(store.state == State::Ready);
            for (gauge, value) in [
                (&*names::CACHE_STORE_READY, ready),
                (&*names::CACHE_STORE_BYTES, store.bytes),
                (&*names::CACHE_STORE_WAITING, store.waiting_bytes),
                (&*names::CACHE_STORE_LOST, store.lost),
                (&*names::CACHE_STORE_DAMAGED, store.damaged),
            ] {
                gauge.with_label_values(&[name]).set(count(value));
            }
        }
        if cache.config().semantic.is_some() {
            let index = stats.index.unwrap_or_default();
            let ready = stats.embedder == Some(EmbedState::Ready);
            for (gauge, value) in [
                (&*names::CACHE_VECTORS, index.vectors as u64),
                (&*names::CACHE_VECTORS_WAITING, index.waiting as u64),
                (&*names::CACHE_VECTORS_LOST, index.lost),
            ] {
                gauge.with_label_values(&[name]).set(count(value));
            }
            names::EMBEDDER_READY
                .with_label_values(&[name])
                .set(i64::from(ready));
            let embedder = cache.embedder().map(|embedder| embedder.stats());
            names::EMBED_REMEMBERED
                .with_label_values(&[name])
                .set(count(embedder.map_or(0, |held| held.remembered_bytes)));
            names::EMBED_WAITING
                .with_label_values(&[name])
                .set(embedder.map_or(0, |held| held.waiting as i64));
        }
    }
    let of_routes = snapshot.routes_live.values();
    let in_use: usize = of_routes.map(|route| route.limiter.in_use()).sum();
    names::LIMIT_IN_USE.set(count((snapshot.limiter.in_use() + in_use) as u64));
}
