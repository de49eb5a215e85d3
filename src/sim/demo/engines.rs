//! The engines of the demo: slow enough that a person sees them work, and unequal.

use std::net::SocketAddr;

use crate::sim::engine::Rates;
use crate::sim::{SimConfig, SimServer};

use super::cannot_listen;

/// A large model on one accelerator: about a third of a second to the first token of a short question, then 120 tokens a
/// second. The prompts of the demo are short, so most of the wait is the fixed part.
fn rates(speed: f64) -> Rates {
    Rates {
        speed,
        prefill_base_ms: 250.0,
        prefill_rate: 150.0,
        step_base_ms: 8.0,
        ..Rates::default()
    }
}

/// Share of the fastest engine's speed that each engine has.
pub(super) fn speeds(engines: &[(SocketAddr, f64)]) -> impl Iterator<Item = f64> {
    let heaviest = engines
        .iter()
        .map(|(_, weight)| *weight)
        .fold(f64::MIN_POSITIVE, f64::max);
    engines.iter().map(move |(_, weight)| weight / heaviest)
}

/// The name of an engine by its place in the configuration, from 0.
pub(super) fn name(index: usize) -> String {
    format!("engine-{}", index + 1)
}

/// Starts one engine on each address.
///
/// # Errors
/// The first address that cannot be listened on.
pub(super) async fn start(engines: &[(SocketAddr, f64)]) -> Result<Vec<SimServer>, String> {
    let mut servers = Vec::with_capacity(engines.len());
    for (index, speed) in speeds(engines).enumerate() {
        let listen = engines[index].0;
        let config = SimConfig {
            listen,
            name: name(index),
            rates: rates(speed),
            ..SimConfig::default()
        };
        let server = SimServer::start(config)
            .await
            .map_err(|error| cannot_listen(listen, &error))?;
        servers.push(server);
    }
    Ok(servers)
}
