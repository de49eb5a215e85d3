//! The generator against the simulated server, and its schedules.

mod runs;
mod schedules;

use clap::Parser;

use super::LoadArgs;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    load: LoadArgs,
}

/// Flags as they are typed.
fn args(flags: &[&str]) -> LoadArgs {
    Command::try_parse_from(["load"].iter().chain(flags))
        .unwrap()
        .load
}
