//! Assembly: the only module that knows all the others.

mod drain;
mod handover;
mod sockets;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Admin;
use crate::config;
use crate::exchange::Client;
use crate::front::{Crowd, Front};
use crate::metrics::{error_log, names};
use crate::proxy::Proxy;
use crate::state::{self, Live, Refused};
use handover::{Handover, Place};
use sockets::Sockets;

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

/// Runs Tollgate until a signal ends it or, later, an upgrade replaces it. With `upgrade` it takes over from the process
/// that runs now.
///
/// # Errors
/// When the configuration is refused, an address cannot be bound, or there is nothing to take over from.
pub fn run(path: &Path, upgrade: bool) -> Result<(), Error> {
    error_log::start();
    names::declare_all();
    // Before anything takes time: until they are caught, SIGHUP and SIGUSR1 kill.
    let keeper = Keeper::new().map_err(cannot_start)?;
    let live = Arc::new(Live::start(path).map_err(|Refused(errors)| Error::Config(errors))?);
    let snapshot = live.snapshot();
    let config = &snapshot.config;

    // The old process is not touched before this one knows what to do.
    let (inherited, place) = Place::of(config, upgrade)?;
    let addresses = config.listen.iter().map(|listen| listen.address);
    let admin = config.admin.as_ref().map(|admin| admin.address);
    let sockets = Sockets::open(addresses.chain(admin), inherited)?;

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
    let given = server.add_boxed_service(Box::new(sockets.for_pingora()?));

    let proxy = Arc::new(Proxy::new(Arc::clone(&live), Arc::clone(&client)));
    let crowd = Arc::new(Crowd::default());
    let draining = drain::Draining::default();
    for (address, rules) in &snapshot.listeners {
        let (proxy, crowd) = (Arc::clone(&proxy), Arc::clone(&crowd));
        let front = Front::new(proxy, *address, Arc::clone(rules), crowd, draining.flag());
        let mut front = Service::new("front".to_owned(), front);
        // What is read goes into buffers of our own.
        front.add_listener(
            ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::unbuffered()),
        );
        server.add_service(front).add_dependency(&given);
    }
    if let Some(address) = admin {
        let admin = Admin::new(Arc::clone(&live), draining.flag());
        let mut admin = Service::new("admin".to_owned(), admin);
        admin.add_tcp(&address.to_string());
        server.add_service(admin).add_dependency(&given);
    }
    keeper.keep(&live, client).map_err(cannot_start)?;

    for listen in &config.listen {
        log::info!("listening on {}", listen.address);
    }
    let handover = Handover::new(sockets, path);
    let shutdown_signal = draining.watch(
        Arc::clone(&live),
        config.shutdown_grace,
        handover,
        place,
        crowd,
    );
    drop(snapshot);
    server.run(RunArgs {
        shutdown_signal: Box::new(shutdown_signal),
    });
    live.close_stores(drain::STORE_LIMIT);
    live.flush_logs(drain::FLUSH_LIMIT);
    Ok(())
}

/// Has the running process replaced by the binary that is installed now; the process id of the new one, once it serves.
/// Without `socket` the configuration says where the running process is asked, and is checked first.
///
/// # Errors
/// When the configuration is refused, no process can be asked, or the new one does not come up; the running one goes on
/// then.
pub fn upgrade(path: &Path, socket: Option<&Path>) -> Result<u32, Error> {
    let socket = match socket {
        Some(socket) => socket.to_owned(),
        None => {
            // By the new binary's lights, before anything is started.
            let loaded = config::load(path).map_err(|errors| Error::Config(errors.to_string()))?;
            handover::path_of_another(&loaded.config.upgrade_socket)
                .ok_or_else(|| Error::Start("upgrade_socket is off".to_owned()))?
        }
    };
    handover::ask(&socket)
        .map_err(|error| Error::Start(format!("no upgrade through {}: {error}", socket.display())))
}

fn cannot_start(error: io::Error) -> Error {
    Error::Start(format!("cannot start: {error}"))
}

/// Everything that keeps the live state current, on a thread of its own: it must not wait behind requests.
struct Keeper {
    runtime: Runtime,
    hangup: Signal,
    rotated: Signal,
}

impl Keeper {
    /// Catches SIGHUP and SIGUSR1 from now on. What comes before `keep` is called is answered then.
    fn new() -> io::Result<Self> {
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

    fn keep(self, live: &Arc<Live>, client: Arc<Client>) -> io::Result<()> {
        let Self {
            runtime,
            mut hangup,
            mut rotated,
        } = self;
        let live = Arc::clone(live);
        let keep = async move {
            tokio::spawn(state::watch_forever(Arc::clone(&live)));
            tokio::spawn(state::probe_forever(Arc::clone(&live), Arc::clone(&client)));
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
