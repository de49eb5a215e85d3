//! The Tollgate under test, with one route and one cache for each way.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::ask;
use crate::ends::{self, RUNNING, Running};
use crate::http::Connection;
use crate::way::Way;

/// A running Tollgate, the only one. It ends when this is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
}

/// Time for the sentence model to be loaded.
const PATIENCE: Duration = Duration::from_secs(60);

/// Name of the route by which the gateway shows that it is ready.
const WARM: &str = "warm";

impl Gateway {
    pub(crate) fn start(
        binary: &Path,
        model: &Path,
        upstream: SocketAddr,
        ways: &[Way],
    ) -> Result<Self, String> {
        Self::begin(binary, model, upstream, ways)
            .map_err(|why| format!("{}: {why}", binary.display()))
    }

    fn begin(binary: &Path, model: &Path, upstream: SocketAddr, ways: &[Way]) -> io::Result<Self> {
        let (address, admin) = (free()?, free()?);
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("tollgate.yaml");
        std::fs::write(&config, written(address, admin, model, upstream, ways))?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut running = RUNNING.lock();
        let child = Command::new(binary)
            .arg("run")
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        *running = Some(Running { child, folder });
        drop(running);
        let gateway = Self { address };
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    /// Asks one thing in two ways until it is answered by meaning: then the model is loaded.
    fn wait_until_ready(&self) -> io::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(running) = RUNNING.lock().as_mut()
                && let Some(status) = running.child.try_wait()?
            {
                let log = std::fs::read_to_string(running.folder.path().join("log"))?;
                return Err(io::Error::other(format!("it ended with {status}: {log}")));
            }
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("its sentence model does not get ready"));
            }
            let ready = Connection::to(self.address).is_ok_and(|mut connection| {
                let round = began.elapsed().as_millis();
                [
                    "please tell me whether you are ready now",
                    "please tell me whether you are now ready",
                ]
                .iter()
                .any(|text| {
                    let asked = ask::request(WARM, &format!("Round {round}."), text, usize::MAX);
                    let answer = connection.send(&asked).and_then(|()| connection.next());
                    answer.is_ok_and(|answer| {
                        answer.is_some_and(|answer| {
                            answer.header("x-cache-status") == Some("SEMANTIC_HIT")
                        })
                    })
                })
            });
            if ready {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        ends::end(RUNNING.lock().take());
    }
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn written(
    address: SocketAddr,
    admin: SocketAddr,
    model: &Path,
    upstream: SocketAddr,
    ways: &[Way],
) -> String {
    let embedder = format!("{{ model: eval, path: {:?} }}", model.display().to_string());
    let mut routes = String::new();
    let mut caches = String::new();
    let warm = Way::Threshold {
        least: 0.5,
        guard: false,
    };
    let all = ways
        .iter()
        .map(|way| (way.to_string(), *way))
        .chain([(WARM.to_owned(), warm)]);
    for (name, way) in all {
        let name = format!("{name:?}");
        routes += &format!(
            "  - {{ name: {name}, match: {{ model: {name} }}, pool: answers, cache: {name} }}\n"
        );
        caches += &format!(
            "  {name}: {{ scope: global, ttl: 24h, min_hit_ratio: 0, exact: {{ max_bytes: 2GiB }}, semantic: {} }}\n",
            way.config(&embedder)
        );
    }
    format!(
        "listen: [{{ address: \"{address}\" }}]\nadmin: {{ address: \"{admin}\" }}\nthreads: 1\naccess_log: off\n\
         pools:\n  answers: {{ engine: openai, peers: [{{ address: \"{upstream}\" }}] }}\nroutes:\n{routes}caches:\n{caches}"
    )
}
