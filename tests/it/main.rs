//! Integration tests: the real binary, real sockets, simulated and hand-made peers.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

mod bodies;
mod caching;
mod clients;
mod command_line;
mod counting;
mod demo;
mod early;
mod gone;
mod heads;
mod importing;
mod installing;
mod layers;
mod limits;
mod logs;
mod queueing;
mod reloads;
mod retries;
mod shutdown;
mod sight;
mod streams;
mod upgrades;
