//! Sees that the configuration file changed, however it was changed: written in place, replaced by rename, or behind
//! a symlink that was swapped (Kubernetes and configuration managers do that).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::live::Live;

/// Editors and `cp` write in several steps: wait until the file has been quiet for this long.
const QUIET: Duration = Duration::from_millis(100);
/// The file is also looked at this often, for file systems that tell nothing (NFS, some overlays).
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest chain of symlinks that is followed.
const MOST_LINKS: usize = 16;

/// Reloads whenever the file's content changes. Never returns.
pub async fn watch_forever(live: Arc<Live>) {
    let (poke, mut poked) = mpsc::channel(1);
    let mut seen = live.first();
    loop {
        // Renewed each time round, since a swapped symlink leads through other folders.
        let watcher = watch(live.path(), poke.clone());
        loop {
            let _ = timeout(LOOK_EVERY, poked.recv()).await;
            if fingerprint(live.path()) != seen {
                break;
            }
        }
        let mut now = fingerprint(live.path());
        loop {
            sleep(QUIET).await;
            let later = fingerprint(live.path());
            if later == now {
                break;
            }
            now = later;
        }
        drop(watcher);
        if now != seen {
            seen = now;
            let live = Arc::clone(&live);
            // Refusals are logged and kept by `reload` itself.
            let _ = tokio::task::spawn_blocking(move || live.reload("file changed").is_ok()).await;
        }
    }
}

fn watch(path: &Path, poke: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let steps = steps(path);
    let names = steps.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&event, &names)) {
            // A full channel already says that there is something to look at.
            let _ = poke.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            log::warn!("no file notifications ({error}); looking every {LOOK_EVERY:?}");
            return None;
        }
    };
    for folder in steps.iter().filter_map(|step| step.parent()) {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            log::debug!("cannot watch {}: {error}", folder.display());
        }
    }
    Some(watcher)
}

/// Whether an event can mean that the file says something else. Reading it is an event too, and so is every line of a log
/// beside it.
fn concerns(event: &notify::Event, steps: &[PathBuf]) -> bool {
    !event.kind.is_access() && event.paths.iter().any(|path| steps.contains(path))
}

/// The file and every symlink on the way to it: a change of any of them can change what `path` says.
fn steps(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut steps = vec![path.clone()];
    let mut todo = vec![path];
    let mut links = 0;
    while let Some(path) = todo.pop() {
        for step in path.ancestors() {
            let is_link = step.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
            if !is_link || links == MOST_LINKS {
                continue;
            }
            links += 1;
            if !steps.iter().any(|known| known == step) {
                steps.push(step.to_owned());
            }
            let (Some(folder), Ok(target)) = (step.parent(), step.read_link()) else {
                continue;
            };
            // An empty rest would leave a slash at the end.
            let onward = match path.strip_prefix(step) {
                Ok(rest) if !rest.as_os_str().is_empty() => folder.join(target).join(rest),
                _ => folder.join(target),
            };
            steps.push(onward.clone());
            todo.push(onward);
        }
    }
    steps
}

/// Tells one content of the file from another.
pub(super) type Fingerprint = [u8; 32];

/// What the file says now; `None` while it cannot be read.
pub(super) fn fingerprint(path: &Path) -> Option<Fingerprint> {
    std::fs::read(path)
        .ok()
        .map(|text| Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_symlink_on_the_way_is_watched() {
        let root = tempfile::tempdir().expect("folder");
        let root = root.path();
        std::fs::create_dir_all(root.join("v1")).expect("folder");
        std::fs::create_dir_all(root.join("etc")).expect("folder");
        std::fs::write(root.join("v1/tollgate.yaml"), "").expect("file");
        symlink("v1", root.join("current")).expect("link");
        symlink(
            root.join("current/tollgate.yaml"),
            root.join("etc/tollgate.yaml"),
        )
        .expect("link");
        let steps = steps(&root.join("etc/tollgate.yaml"));
        for step in ["etc/tollgate.yaml", "current", "v1/tollgate.yaml"] {
            assert!(steps.contains(&root.join(step)), "{step} in {steps:?}");
        }
    }

    #[test]
    fn a_link_that_leads_to_itself_ends() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join("a");
        symlink(&path, &path).expect("link");
        assert!(steps(&path).contains(&path));
        assert_eq!(fingerprint(&path), None);
    }

    #[test]
    fn reading_the_file_and_writing_beside_it_wake_nobody() {
        use notify::event::{AccessKind, CreateKind, DataChange, Event, EventKind, ModifyKind};
        let steps = steps(Path::new("/etc/tollgate/tollgate.yaml"));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let event = |kind, path: &str| Event::new(kind).add_path(path.into());
        let file = "/etc/tollgate/tollgate.yaml";
        assert!(concerns(&event(written, file), &steps));
        assert!(concerns(
            &event(EventKind::Create(CreateKind::Any), file),
            &steps
        ));
        assert!(!concerns(
            &event(EventKind::Access(AccessKind::Any), file),
            &steps
        ));
        assert!(!concerns(
            &event(written, "/etc/tollgate/access.log"),
            &steps
        ));
    }
}
