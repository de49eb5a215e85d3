//! Flags -> command -> exit code.

mod cache;

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::model::Config;
use crate::sim::demo::Site;
use crate::sim::{DemoArgs, LoadArgs, SimArgs};
use crate::{app, config, import, sim};

/// Exit code for bad usage and bad configuration (`EX_USAGE` of sysexits).
const BAD_USAGE: u8 = 64;

/// The load balancer that counts tokens.
#[derive(Parser)]
#[command(name = "tollgate", version, about, disable_version_flag = true)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the load balancer
    Run {
        /// The configuration file
        #[arg(short, long, default_value = "/etc/tollgate/tollgate.yaml")]
        config: PathBuf,
        /// Take over from the running process, which then drains
        #[arg(long)]
        upgrade: bool,
    },
    /// Have the running process replaced by the binary that is installed now, without refusing a connection
    Upgrade {
        /// The configuration file: it is checked, and says where the running process is asked
        #[arg(short, long, default_value = "/etc/tollgate/tollgate.yaml")]
        config: PathBuf,
        /// Ask here, without reading the configuration
        #[arg(long, conflicts_with = "config")]
        socket: Option<PathBuf>,
    },
    /// Check a configuration file and list every error in it
    Check {
        /// The configuration file
        #[arg(short, long, default_value = "/etc/tollgate/tollgate.yaml")]
        config: PathBuf,
    },
    /// Turn an nginx configuration into one of Tollgate's
    Import {
        /// The nginx file; what it includes is read too
        file: PathBuf,
        /// Where to write it; standard output by default. An existing file is not touched
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Look into the caches of the running process, and take things out of them
    Cache(cache::CacheArgs),
    /// Show it at work in front of three simulated engines
    Demo(DemoArgs),
    /// Run a simulated inference server
    Sim(SimArgs),
    /// Send load and measure what comes back
    Load(LoadArgs),
    /// Print the version
    Version,
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Help and version are not errors. A closed pipe is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(BAD_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match flags.command {
        Command::Run { config, upgrade } => ended(app::run(&config, upgrade)),
        Command::Upgrade { config, socket } => ended(
            app::upgrade(&config, socket.as_deref())
                .map(|pid| println!("process {pid} serves; the old one drains")),
        ),
        Command::Check { config } => check(&config),
        Command::Import { file, output } => import(&file, output.as_deref()),
        Command::Cache(args) => cache::run(&args),
        Command::Demo(args) => demo(&args),
        Command::Sim(args) => sim::server::run(args),
        Command::Load(args) => sim::load::run(args),
        Command::Version => {
            println!("tollgate {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn ended(how: Result<(), app::Error>) -> ExitCode {
    match how {
        Ok(()) => ExitCode::SUCCESS,
        Err(app::Error::Config(errors)) => {
            eprintln!("{errors}");
            ExitCode::from(BAD_USAGE)
        }
        Err(app::Error::Start(error)) => {
            eprintln!("tollgate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> ExitCode {
    match config::load(path) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            println!("{}: ok", path.display());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(BAD_USAGE)
        }
    }
}

fn import(file: &Path, output: Option<&Path>) -> ExitCode {
    let imported = match import::import(file) {
        Ok(imported) => imported,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let written = match output {
        None => io::stdout().write_all(imported.yaml.as_bytes()),
        Some(path) => File::create_new(path)
            .and_then(|mut file| file.write_all(imported.yaml.as_bytes()))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    };
    if let Err(error) = written {
        eprintln!("tollgate: {error}");
        return ExitCode::FAILURE;
    }
    eprintln!(
        "{}: {} directives, {} of them left out; each stands in the output with the reason",
        file.display(),
        imported.directives,
        imported.left_out
    );
    ExitCode::SUCCESS
}

fn demo(args: &DemoArgs) -> ExitCode {
    let site = config::load(&args.config)
        .map_err(|errors| errors.to_string())
        .and_then(|loaded| {
            site(&loaded.config)
                .map_err(|reason| format!("{}: not for the demo: {reason}", args.config.display()))
        });
    match site {
        Ok(site) => sim::demo::run(args, &site),
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(BAD_USAGE)
        }
    }
}

/// What the demo has to know; it stands beside the proxy and cannot read configurations itself.
///
/// # Errors
/// What the configuration lacks.
fn site(config: &Config) -> Result<Site, &'static str> {
    let [listen] = config.listen.as_slice() else {
        return Err("it must listen on one address");
    };
    let [pool] = config.pools.as_slice() else {
        return Err("it must have one pool");
    };
    let engines = pool.peers.iter().map(|peer| {
        let address = peer.host.parse().ok()?;
        Some((SocketAddr::new(address, peer.port), peer.weight))
    });
    Ok(Site {
        listen: listen.address,
        admin: config
            .admin
            .as_ref()
            .map(|admin| admin.address)
            .ok_or("it must have an admin listener")?,
        engines: engines
            .collect::<Option<_>>()
            .ok_or("its peers must be IP addresses of this machine")?,
        semantic: config
            .caches
            .iter()
            .find(|cache| cache.semantic.is_some())
            .map(|cache| cache.name.clone()),
        grace: config.shutdown_grace,
    })
}
