//! Assembly: the only module that knows all the others.

mod drain;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Admin;
use crate::exchange::Client;
use crate::metrics::{error_log, names};
use crate::proxy::Proxy;
use crate::state::{self, Live, Refused};

/// Why Tollgate did not run.
#[derive(Debug)]
pub enum Error {
    /// The configuration was refused; every reason.
    Config(String),
    /// Something else could not be set up.
    Start(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) | Self::Start(errors) => f.write_str(errors),
        }
    }
}

impl std::error::Error for Error {}

/// Runs Tollgate until a signal ends it.
///
/// # Errors
/// When the configuration is refused, or an address cannot be bound.
pub fn run(path: &Path) -> Result<(), Error> {
    error_log::start();
    names::declare_all();
    // Before anything takes time: until they are caught, SIGHUP and SIGUSR1 kill.
    let keeper = Keeper::new().map_err(|error| Error::Start(format!("cannot start: {error}")))?;
    let live = Arc::new(Live::start(path).map_err(|Refused(errors)| Error::Config(errors))?);
    let snapshot = live.snapshot();
    let config = &snapshot.config;
    for address in config
        .listen
        .iter()
        .map(|listen| listen.address)
        .chain(config.admin)
    {
        // Pingora panics on a taken port, later and without saying which.
        std::net::TcpListener::bind(address)
            .map_err(|error| Error::Start(format!("cannot listen on {address}: {error}")))?;
    }

    let conf = ServerConf {
        threads: config.threads,
        // Only a backstop: `drain` ends the process itself, sooner.
        grace_period_seconds: Some(config.shutdown_grace.as_secs() + 5),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(Opt::default(), conf);
    server.bootstrap();
    let client = Arc::new(Client::new(&server.configuration));

    let mut proxy = pingora::proxy::http_proxy_service_with_name(
        &server.configuration,
        Proxy::new(Arc::clone(&live), Arc::clone(&client)),
        "proxy",
    );
    for listen in &config.listen {
        proxy.add_tcp(&listen.address.to_string());
    }
    server.add_service(proxy);
    let draining = drain::Draining::default();
    if let Some(address) = config.admin {
        let mut admin = Service::new(
            "admin".to_owned(),
            Admin::new(Arc::clone(&live), draining.flag()),
        );
        admin.add_tcp(&address.to_string());
        server.add_service(admin);
    }
    keeper
        .keep(&live, client)
        .map_err(|error| Error::Start(format!("cannot start: {error}")))?;

    for listen in &config.listen {
        log::info!("listening on {}", listen.address);
    }
    let shutdown_signal = draining.watch(Arc::clone(&live), config.shutdown_grace);
    drop(snapshot);
    server.run(RunArgs {
        shutdown_signal: Box::new(shutdown_signal),
    });
    live.flush_logs(drain::FLUSH_LIMIT);
    Ok(())
}

/// Everything that keeps the live state current, on a thread of its own: it must not wait behind requests.
struct Keeper {
    runtime: Runtime,
    hangup: Signal,
    rotated: Signal,
}

impl Keeper {
    /// Catches SIGHUP and SIGUSR1 from now on. What comes before `keep` is called is answered then.
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("keeper")
            .build()?;
        let (hangup, rotated) = {
            let _entered = runtime.enter();
            (
                signal(SignalKind::hangup())?,
                signal(SignalKind::user_defined1())?,
            )
        };
        Ok(Self {
            runtime,
            hangup,
            rotated,
        })
    }

    fn keep(self, live: &Arc<Live>, client: Arc<Client>) -> std::io::Result<()> {
        let Self {
            runtime,
            mut hangup,
            mut rotated,
        } = self;
        let live = Arc::clone(live);
        let keep = async move {
            tokio::spawn(state::watch_forever(Arc::clone(&live)));
            tokio::spawn(state::probe_forever(Arc::clone(&live)));
            tokio::spawn(state::resolve_forever(Arc::clone(&live)));
            tokio::spawn(async move { client.sweep_forever().await });
            let logs = Arc::clone(&live);
            tokio::spawn(async move {
                while rotated.recv().await.is_some() {
                    let logs = Arc::clone(&logs);
                    let _ = tokio::task::spawn_blocking(move || logs.reopen_logs()).await;
                }
            });
            while hangup.recv().await.is_some() {
                let live = Arc::clone(&live);
                // Refusals are logged and kept by `reload` itself.
                let _ = tokio::task::spawn_blocking(move || live.reload("SIGHUP").is_ok()).await;
            }
        };
        thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || runtime.block_on(keep))?;
        Ok(())
    }
}
