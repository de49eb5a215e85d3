//! The program started before a file that is full already.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Args;
use crate::figures::load;
use crate::held::Held;
use crate::wire::{Failed, ask, connect, fetch, free, launch, peer};

pub(crate) fn run(args: &Args, binary: &Path, held: &Held) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let peer = peer().await?;
        println!("\nThe program started before a file of so many entries:\n");
        println!("| entries | first answer after | all answers back after | all vectors back after | load |");
        println!("| --- | --- | --- | --- | --- |");
        for &entries in &args.entries {
            held.fill(entries)?;
            let [first, answers, vectors] = restart(args, binary, peer, &held.path(entries), entries).await?;
            println!(
                "| {entries} | {:.2} s | {:.1} s | {:.1} s | {} |",
                first.as_secs_f64(),
                answers.as_secs_f64(),
                vectors.as_secs_f64(),
                load()
            );
        }
        Ok(())
    })
}

/// Times from the program's start to its first answer, and until all of the file can be found.
async fn restart(
    args: &Args,
    binary: &Path,
    peer: SocketAddr,
    file: &Path,
    entries: usize,
) -> Result<[Duration; 3], Failed> {
    let folder = tempfile::tempdir()?;
    let settings = format!(
        "{{ threshold: 0.9, max_entries: 10000000, embedder: {{ model: bench, path: {}, cache: 0 }} }}, ttl: 24h, store: {{ path: {}, max_bytes: 64GiB }}",
        args.model.canonicalize()?.display(),
        file.display()
    );
    let [address, admin] = [free()?, free()?];
    let began = Instant::now();
    let _gate = launch(binary, folder.path(), peer, &settings, [address, admin])?;
    let first = loop {
        if let Ok(mut client) = connect(address).await
            && ask(&mut client, "who answers first?", None).await.is_ok()
        {
            break began.elapsed();
        }
        patience(folder.path(), began).await?;
    };
    let mut times = [first; 3];
    for (time, wanted) in times.iter_mut().skip(1).zip(["store", "vectors"]) {
        loop {
            let status = fetch(admin, "/api/v1/status").await.unwrap_or_default();
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            let cache = &status["caches"]["answers"];
            let done = match wanted {
                "store" => cache["store"]["filled"].as_u64() >= Some(entries as u64),
                _ => {
                    cache["vectors"].as_u64() >= Some(entries as u64)
                        && cache["vectors_waiting"] == 0
                }
            };
            if done {
                break;
            }
            patience(folder.path(), began).await?;
        }
        *time = began.elapsed();
    }
    Ok(times)
}

/// A moment until the program is looked at again; none is left after an hour.
async fn patience(folder: &Path, began: Instant) -> Result<(), Failed> {
    if began.elapsed() > Duration::from_secs(3600) {
        let log = fs::read_to_string(folder.join("log"))?;
        return Err(format!("tollgate does not serve: {log}").into());
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}
