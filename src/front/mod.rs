//! What a new connection passes before a request is read from it.

pub mod proxy_protocol;
pub mod tls;
