//! What clients of one listener may do and take.

use std::sync::Arc;

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

/// The rules of a plain listener where nothing is configured.
#[cfg(test)]
pub(super) fn of_a_test() -> Rules {
    let least = "listen: [{ address: \"127.0.0.1:1\" }]\npools: { p: { peers: [{ address: \"127.0.0.1:2\" }] } }\n";
    let loaded = crate::config::parse(least, "".as_ref()).expect("valid");
    let listen = loaded.config.listen.first().expect("one");
    Rules::new(&loaded.config.client, listen, None)
}
