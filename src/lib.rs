//! Tollgate, the load balancer that counts tokens.
//!
//! ```text
//!  client ─► listen ─► admit ─► key ─► cache ─► route ─► queue ─► balance ─► peer
//!                      who?     what   answered  which    wait     which       │
//!                      how much?  is it? before?  pool?   turn?    peer?        ▼
//!  client ◄──────────────── answer ◄──────────── tee ◄──────────────────── response
//!                                        meter, settle limits, fill cache
//! ```
//!
//! Each word is a room, and a module. A request passes each once, left to right; the response comes back through
//! `tee`. Imports go one way only: `main -> cli -> app -> {front, proxy, admin} -> exchange -> state -> {admit, cache,
//! route, balance} -> config -> {llm, metrics, tls, util}`; `sim` and `import` stand beside. A test keeps this order.

pub mod admin;
pub mod admit;
pub mod app;
pub mod balance;
pub mod cache;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod front;
pub mod import;
pub mod llm;
pub mod metrics;
pub mod proxy;
pub mod route;
pub mod sim;
pub mod state;
pub mod tls;
pub mod util;
pub mod wire;
