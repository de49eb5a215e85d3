//! `tollgate sim`: a simulated inference engine behind the OpenAI and Anthropic APIs.
//!
//! Model APIs: `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/responses`, `/v1/messages`,
//! `/v1/models`; `/health` and `/metrics` as vLLM has them. `/echo-body` sends the body back, every other path tells what
//! arrived as JSON. Each answer names its engine (`x-sim-peer`) and the body it got (`x-sim-body-sha256`,
//! `x-sim-body-bytes`).
//!
//! A text and its length follow from the prompt alone, the same on every engine; `x-sim-output-tokens` (header or body)
//! asks for an exact length. A client that leaves cancels its sequence at once.
//!
//! Faults come from the header `x-sim-fault`, from `POST /sim/fault {"kind", "count", "probability"}`, or from a flag
//! ([`Fault`] lists them). `GET /sim/state` tells everything; `POST /sim/health {"healthy"}` sets `/health`.

mod admin;
mod api;
mod app;
mod args;
mod body;
mod driver;
mod fault;
mod generate;
mod metrics;
mod received;
mod service;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(in crate::sim) use api::Api;
pub use args::{SimArgs, SimConfig};
pub(in crate::sim) use args::{positive, share};
pub use fault::{Break, Fault, How, Spoil};

use app::App;
use fault::Planted;
use wire::{Knobs, Wire};

use crate::sim::text::TOKEN_BYTES;

/// A running simulated server. Dropping it closes its listener and all its connections.
#[derive(Debug)]
pub struct SimServer {
    address: SocketAddr,
    app: Arc<App>,
    task: JoinHandle<()>,
}

impl SimServer {
    /// Listens and serves until the value is dropped. Needs a Tokio runtime with time and I/O.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let app = App::new(config);
        let task = tokio::spawn(accept(listener, app.clone()));
        Ok(Self { address, app, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The base of its URLs, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `GET /sim/state` answers, without a request.
    pub fn state(&self) -> serde_json::Value {
        admin::state(&self.app, 0)
    }

    /// Strikes the next requests with a fault, `count` of them or all; `None` ends that.
    pub fn plant(&self, fault: Option<Fault>, count: Option<u64>) {
        let planted = fault.map(|fault| Planted {
            fault,
            left: count,
            probability: 1.0,
        });
        self.app.faults.plant(planted);
    }

    /// Sets what `/health` answers.
    pub fn set_healthy(&self, healthy: bool) {
        self.app.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Closes the listener and every connection. When it returns, the address is free again.
    pub async fn stop(mut self) {
        self.task.abort();
        // Cancelled is the only way for it to end now.
        let _ = (&mut self.task).await;
    }

    /// Serves until the listener fails.
    async fn wait(mut self) {
        // The task ends by itself or by the drop of this value, which has not happened.
        let _ = (&mut self.task).await;
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts until aborted; the connections and the engine go with it.
async fn accept(listener: TcpListener, app: Arc<App>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(app.driver.clone().run());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, app.clone()));
                }
                Err(error) => {
                    // Most often out of file descriptors: others may close soon.
                    log::warn!("{}: cannot accept: {error}", app.config.name);
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, app: Arc<App>) {
    let _open = app.connection();
    // Only a latency setting; a socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    let knobs = Arc::new(Knobs::default());
    let io = TokioIo::new(Wire::new(stream, knobs.clone()));
    let service = service_fn(move |request| service::serve(app.clone(), knobs.clone(), request));
    if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
        log::debug!("connection ended: {error}");
    }
}

/// The text of one token.
fn token(text: &str, index: u32) -> &str {
    let at = index as usize * TOKEN_BYTES;
    text.get(at..at + TOKEN_BYTES).unwrap_or_default()
}

/// Runs `tollgate sim` until the process ends. Prints `listening on http://ADDR` when it is ready.
pub fn run(args: SimArgs) -> ExitCode {
    // One thread serves hundreds of streams, and leaves the other cores to what is measured.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start a runtime: {error}")),
    };
    let listen = args.listen;
    runtime.block_on(async {
        match SimServer::start(args.into()).await {
            Ok(server) => {
                announce(server.addr());
                tokio::select! {
                    () = server.wait() => ExitCode::FAILURE,
                    _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
                }
            }
            Err(error) => fail(&format!("cannot listen on {listen}: {error}")),
        }
    })
}

fn announce(address: SocketAddr) {
    use std::io::Write;
    let mut out = io::stdout().lock();
    // Whoever waits for the line may have closed the pipe; the server is up all the same.
    let _ = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("tollgate sim: {reason}");
    ExitCode::FAILURE
}
