//! What holds for the clients of each listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::model::Config;
use crate::front::Rules;
use crate::util::hash::Map;

/// The rules of each listener by its address. Certificates are read anew.
///
/// # Errors
/// Every certificate or key that cannot be used.
pub(super) fn listeners(
    config: &Config,
    now: SystemTime,
) -> io::Result<Map<SocketAddr, Arc<Rules>>> {
    let mut problems = Vec::new();
    let mut rules = Map::default();
    for (n, listen) in config.listen.iter().enumerate() {
        let tls = match listen.tls.as_ref().map(|tls| tls.read(listen.http2, now)) {
            None => None,
            Some(Ok(tls)) => Some(tls.config),
            Some(Err(found)) => {
                problems.extend(found.iter().map(|why| format!("listen[{n}].tls: {why}")));
                continue;
            }
        };
        let of_this = Rules::new(&config.client, listen, tls);
        rules.insert(listen.address, Arc::new(of_this));
    }
    match problems.is_empty() {
        true => Ok(rules),
        false => Err(io::Error::other(problems.join("\n"))),
    }
}
