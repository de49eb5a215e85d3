//! Integration tests: the real binary, real sockets, simulated and hand-made peers.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

mod binary_upgrade;
mod bodies;
mod cache_sight;
mod caching;
mod clients;
mod command_line;
mod counting;
mod demo;
mod durable;
mod early;
mod edge;
mod embeddings;
mod endurance;
mod faults;
mod flight;
mod forwarded;
mod gone;
mod guarded;
mod heads;
mod hostile;
mod http2;
mod importing;
mod installing;
mod isolation;
mod judged;
mod layers;
mod limits;
mod logs;
mod official;
mod peers_tls;
mod purge;
mod queueing;
mod recordings;
mod reloads;
mod renewed;
mod replayed;
mod retries;
mod routes;
mod shutdown;
mod sight;
mod slow;
mod smuggling;
mod stale;
mod streams;
mod upgrades;
mod verified;
