//! What the cache costs: the latency of exact and semantic lookups, memory for each entry, and how many of the nearest
//! the index finds. `scripts/bench-cache` runs it.

mod corpus;
mod engine;
mod figures;
mod wire;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;

use corpus::Corpus;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures the cache and prints a table of Markdown for each part.
#[derive(Parser)]
struct Args {
    /// Numbers of entries to measure at.
    #[arg(long, value_delimiter = ',', default_value = "1000,100000")]
    entries: Vec<usize>,
    /// Directory of the sentence model.
    #[arg(long)]
    model: PathBuf,
    /// Folder with gptcache_qqp, banking77 and clinc150, whose questions are asked.
    #[arg(long)]
    data: PathBuf,
    /// The program, to be measured over real sockets; left out, the engine is measured alone.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Lookups of each kind that are timed.
    #[arg(long, default_value_t = 1000)]
    lookups: usize,
    /// Leave the lookups by meaning out.
    #[arg(long)]
    exact_only: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let corpus = Corpus::read(&args.data)?;
    println!("{} real questions.\n", corpus.len());
    if args.exact_only {
        engine::exact(&args, &corpus)?;
    } else {
        engine::run(&args, &corpus)?;
    }
    match &args.binary {
        Some(binary) => wire::run(&args, binary, &corpus),
        None => Ok(()),
    }
}
