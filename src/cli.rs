//! Flags -> command -> exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::sim::{LoadArgs, SimArgs};
use crate::{app, config, sim};

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
    },
    /// Check a configuration file and list every error in it
    Check {
        /// The configuration file
        #[arg(short, long, default_value = "/etc/tollgate/tollgate.yaml")]
        config: PathBuf,
    },
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
        Command::Run { config } => {
            log_to_stderr();
            match app::run(&config) {
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
        Command::Check { config } => check(&config),
        Command::Sim(args) => sim::server::run(args),
        Command::Load(args) => sim::load::run(args),
        Command::Version => {
            println!("tollgate {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn check(path: &std::path::Path) -> ExitCode {
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

/// Pingora logs each closed client connection as an error; its own level is therefore `warn` and its proxy loop's off.
fn log_to_stderr() {
    let mut builder = env_logger::Builder::new();
    builder.parse_filters("info,pingora=warn,pingora_core=warn,pingora_proxy=off,ort=warn");
    if let Ok(filters) = std::env::var("RUST_LOG") {
        builder.parse_filters(&filters);
    }
    builder.init();
}
