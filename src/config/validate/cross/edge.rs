//! Whether `listen` and `client` go together.

use crate::config::model::Config;
use crate::config::raw::RawConfig;
use crate::config::validate::section::Section;

pub(super) fn check(s: &mut Section<'_>, raw: &RawConfig, config: &Config) {
    // Not the model's: one that was refused is there all the same.
    let trusted = raw
        .client
        .as_ref()
        .and_then(|raw| raw.trusted_proxies.as_ref());
    for (n, raw) in raw.listen.iter().flatten().enumerate() {
        let Some(switch) = raw.as_ref().and_then(|raw| raw.proxy_protocol.as_ref()) else {
            continue;
        };
        let is_on = matches!(switch.text().as_deref(), Some("on" | "true"));
        if is_on && trusted.is_none_or(Vec::is_empty) {
            s.key("listen").index(n).refuse(
                "proxy_protocol",
                Some(switch),
                "nobody's PROXY header is believed",
                "write the proxies' addresses into client.trusted_proxies",
            );
        }
    }
    let client = &config.client;
    if client
        .max_connections_per_address
        .is_some_and(|cap| cap > client.max_connections)
    {
        let given = raw.client.as_ref();
        let given = given.and_then(|raw| raw.max_connections_per_address.as_ref());
        if given.is_some() {
            let text = "is above `max_connections`, so it never says anything";
            s.key("client").warn("max_connections_per_address", text);
        }
    }
}
