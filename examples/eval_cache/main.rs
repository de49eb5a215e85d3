//! What a semantic cache serves and how often it is wrong, measured through the real binary: `scripts/eval-cache`.
//!
//! An upstream answers each question with the answer it deserves (its class), a Tollgate stands before it with one cache
//! for each way of deciding, and each way is asked every question, one after the other. An answer is wrong when it is not
//! the one deserved.

mod ask;
mod ends;
mod gateway;
mod http;
mod plot;
mod report;
mod rules;
mod score;
mod sets;
mod upstream;
mod way;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use score::Score;
use sets::Set;
use way::Way;

/// Exit code when a promise was broken by more than chance explains, and when anything failed.
const BROKEN: u8 = 1;

/// Exit code when there are no data.
const NO_DATA: u8 = 2;

#[derive(Parser)]
#[command(about = "What a semantic cache serves and how often it is wrong", long_about = None)]
struct Args {
    /// Sets: quora-pairs, quora-questions, mock-pairs, banking77, clinc150, or a file under --data (or anywhere) with
    /// lines {text, class} or {q1, q2, is_duplicate}; `:questions` behind a file of pairs with c1 and c2 puts all their
    /// questions into one store.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "quora-pairs,quora-questions,mock-pairs,banking77,clinc150"
    )]
    sets: Vec<String>,
    /// Ways of deciding: exact, 0.90 (a fixed threshold without the guard), guard-0.90 (with it), verified-0.02 (a
    /// promised share of wrong answers, with the guard), bare-0.02 (without). Default: all that docs/eval-cache.md lists.
    #[arg(long, value_delimiter = ',')]
    ways: Vec<Way>,
    /// Questions of each set, after shuffling (pairs count as one); 0 = all.
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Seed of the order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the sets are.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Tollgate's binary.
    #[arg(long)]
    binary: PathBuf,
    /// Directory of the sentence model.
    #[arg(long)]
    model: PathBuf,
    /// Folder for `eval-cache.json`, `eval-cache.md` and an SVG of each set; default: the table is printed only.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also prints what each rule of the guard costs and catches among the hits of the lowest threshold.
    #[arg(long)]
    rules: bool,
}

/// One set and what each way made of it.
struct Measured {
    set: Set,
    scores: Vec<Score>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut sets = Vec::new();
    for name in &args.sets {
        match sets::load(name, &args.data) {
            Ok(set) => sets.push(set.shuffled(args.seed, args.limit)),
            Err(why) => {
                eprintln!("error: {name}: {why}");
                return ExitCode::from(NO_DATA);
            }
        }
    }
    match ends::on_signals()
        .map_err(|why| why.to_string())
        .and_then(|()| measure(&args, sets))
    {
        Ok(measured) => verdict(&measured),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(BROKEN)
        }
    }
}

/// Says which promises were broken.
fn verdict(measured: &[Measured]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Measured { set, scores } in measured {
        for score in scores.iter().filter(|score| score.is_broken()) {
            let (way, wrong, hits) = (score.way, score.meaning_wrong, score.meaning);
            eprintln!(
                "broken promise: {}: {way}: {wrong} of {hits} wrong",
                set.name
            );
            code = ExitCode::from(BROKEN);
        }
    }
    code
}

fn measure(args: &Args, sets: Vec<Set>) -> Result<Vec<Measured>, String> {
    let ways = if args.ways.is_empty() {
        Way::all()
    } else {
        args.ways.clone()
    };
    let mut measured = Vec::new();
    for set in sets {
        let began = std::time::Instant::now();
        let questions = Arc::new(set.questions.clone());
        let upstream = upstream::Upstream::start(Arc::clone(&questions), &ways)?;
        let gateway = gateway::Gateway::start(&args.binary, &args.model, upstream.address, &ways)?;
        let answers = ask::all(&gateway, &questions, &ways)?;
        let scores: Vec<Score> = ways
            .iter()
            .zip(&answers)
            .enumerate()
            .map(|(number, (way, outcomes))| {
                Score::of(*way, &questions, outcomes, upstream.calls(number))
            })
            .collect();
        drop(gateway);
        eprintln!(
            "{}: {} questions in {:.0} s",
            set.name,
            set.questions.len(),
            began.elapsed().as_secs_f64()
        );
        println!("{}", report::table(&set, &scores));
        if args.rules {
            println!("{}", rules::table(&set, &ways, &answers));
        }
        measured.push(Measured { set, scores });
        // After each set: the next may take long.
        if let Some(out) = &args.out {
            report::write(out, &measured).map_err(|why| format!("{}: {why}", out.display()))?;
        }
    }
    Ok(measured)
}
