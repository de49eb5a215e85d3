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
    let watcher = notify::recommended_watcher(move |_| {
        // A full channel already says that there is something to look at.
        let _ = poke.try_send(());
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            log::warn!("no file notifications ({error}); looking every {LOOK_EVERY:?}");
            return None;
        }
    };
    for folder in folders(path) {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            log::debug!("cannot watch {}: {error}", folder.display());
        }
    }
    Some(watcher)
}

/// Every folder in which a change can make `path` lead to another file.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut todo = vec![path.to_owned()];
    let mut links = 0;
    while let Some(path) = todo.pop() {
        for step in path.ancestors() {
            let Some(folder) = step.parent() else {
                continue;
            };
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            let is_link = step.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
            if (step == path || is_link) && !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_owned());
            }
            if is_link && links < MOST_LINKS {
                links += 1;
                if let (Ok(target), Ok(rest)) = (step.read_link(), path.strip_prefix(step)) {
                    let target = folder.join(target);
                    todo.push(if rest.as_os_str().is_empty() {
                        target
                    } else {
                        target.join(rest)
                    });
                }
            }
        }
    }
    folders
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
    fn the_folders_of_every_symlink_on_the_way_are_watched() {
        let root = tempfile::tempdir().expect("folder");
        let root = root.path();
        std::fs::create_dir_all(root.join("v1")).expect("folder");
        std::fs::create_dir_all(root.join("etc")).expect("folder");
        std::fs::write(root.join("v1/tollgate.yaml"), "").expect("file");
        symlink(root.join("v1"), root.join("current")).expect("link");
        symlink(
            root.join("current/tollgate.yaml"),
            root.join("etc/tollgate.yaml"),
        )
        .expect("link");
        let folders = folders(&root.join("etc/tollgate.yaml"));
        assert!(folders.contains(&root.join("etc")));
        assert!(folders.contains(&root.join("current")));
        assert!(folders.contains(&root.to_owned()));
        assert!(folders.contains(&root.join("v1")));
    }

    #[test]
    fn a_link_that_leads_to_itself_ends() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join("a");
        symlink(&path, &path).expect("link");
        assert_eq!(folders(&path), [root.path()]);
        assert_eq!(fingerprint(&path), None);
    }
}
