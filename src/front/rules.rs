//! What clients of one listener may do and take.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::config::model::{ClientRules, Listen};
use crate::util::ranges::Ranges;

/// What holds for every connection of a listener.
#[derive(Debug, Clone)]
pub struct Rules {
    /// As configured for all listeners.
    pub client: ClientRules,
    /// Whose word on the client's address is believed.
    pub trusted: Ranges,
    /// How TLS is spoken; `None` = not at all.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Whether every connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
}

/// Waiting for a body in which no rate is asked for yet.
pub(super) const BODY_GRACE: Duration = Duration::from_secs(10);

impl Rules {
    /// The rules of `listen`, whose TLS settings have been made of its files.
    pub fn new(client: &ClientRules, listen: &Listen, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            trusted: Ranges::new(&client.trusted_proxies),
            client: client.clone(),
            tls,
            http2: listen.http2,
            proxy_protocol: listen.proxy_protocol,
        }
    }
}
