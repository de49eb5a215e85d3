//! What the cache costs: the latency of exact and semantic lookups, memory for each entry, and how many of the nearest
//! the index finds. `scripts/bench-cache` runs it.

mod corpus;
mod engine;
mod figures;
mod held;
mod restart;
mod wire;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;

use corpus::Corpus;
use held::Held;

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
    /// Folder where the filled caches are kept, and found again the next time; left out, they are made anew.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Only make this file, of the last number of entries.
    #[arg(long, hide = true)]
    fill: Option<PathBuf>,
    /// Leave the lookups by meaning out.
    #[arg(long)]
    exact_only: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let corpus = Corpus::read(&args.data)?;
    if let (Some(path), Some(entries)) = (&args.fill, args.entries.last()) {
        return engine::fill(&args, &corpus, path, *entries);
    }
    println!("{} real questions.\n", corpus.len());
    let held = Held::at(args.keep.as_deref())?;
    if args.exact_only {
        engine::exact(&args, &corpus)?;
    } else {
        engine::run(&args, &corpus, &held)?;
    }
    let Some(binary) = &args.binary else {
        return Ok(());
    };
    wire::run(&args, binary, &corpus)?;
    if args.exact_only {
        return Ok(());
    }
    restart::run(&args, binary, &held)
}
