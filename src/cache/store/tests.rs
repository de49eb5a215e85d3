use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::cache::entry::tests::{answer, identity};
use crate::cache::exact::Exact;
use crate::cache::origin::Origin;

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a cache would hold.
#[derive(Debug)]
struct Held {
    exact: Exact,
    blobs: Mutex<Blobs>,
    vectors: Mutex<Vec<[u8; 32]>>,
    filled: watch::Sender<bool>,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            exact: Exact::new(1 << 30),
            blobs: Mutex::default(),
            vectors: Mutex::default(),
            filled: watch::channel(false).0,
        })
    }

    async fn filled(&self) {
        let mut filled = self.filled.subscribe();
        let waited = tokio::time::timeout(PATIENCE, filled.wait_for(|filled| *filled));
        waited.await.unwrap().unwrap();
    }
}

impl Sink for Held {
    fn opened(&self, blobs: &Blobs) {
        self.blobs.lock().clone_from(blobs);
    }

    fn fill(&self, entry: Entry, now: Instant) -> Vec<Arc<Entry>> {
        self.exact.put_if_absent(Arc::new(entry), now).left
    }

    fn index(&self, mut vectors: Vec<([u8; 32], Vector)>) -> Vec<([u8; 32], Vector)> {
        // Takes a few at a time, as one would that is busy.
        let rest = vectors.split_off(vectors.len().min(100));
        self.vectors
            .lock()
            .extend(vectors.iter().map(|(exact, _)| exact));
        rest
    }

    fn gone(&self, exact: &[u8; 32]) {
        let _ = self.exact.remove(exact);
    }

    fn filled(&self) {
        self.filled.send_replace(true);
    }
}

fn start(path: &Path) -> (Store, Arc<Held>) {
    let held = Held::new();
    let store = Store::start(path, 1 << 30, held.clone()).unwrap();
    (store, held)
}

fn key(n: usize) -> [u8; 32] {
    *blake3::hash(&n.to_le_bytes()).as_bytes()
}

fn put(store: &Store, held: &Held, n: usize) -> Arc<Entry> {
    let identity = crate::cache::Identity {
        exact: key(n),
        ..identity(0, 0, None)
    };
    let body = format!("answer {n}");
    let now = Instant::now();
    let entry = Arc::new(Entry::new(
        &identity,
        answer(&body),
        Origin::default(),
        HOUR,
        now,
    ));
    let vector = Vector {
        id: entry.number(),
        class: [0; 32],
        model: [0; 32],
        packed: vec![1; 8],
    };
    store.put(&entry, Some(vector));
    assert!(held.exact.put(Arc::clone(&entry), now).held);
    entry
}

fn close(store: Store) {
    store.close(PATIENCE);
    assert_eq!(store.stats().state, State::Closed);
}

#[tokio::test]
async fn what_was_put_is_filled_into_the_next_cache() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    for n in 0..3000 {
        put(&store, &held, n);
    }
    store.put_blob("small", b"value");
    close(store);

    let (store, held) = start(&path);
    held.filled().await;
    assert_eq!(held.exact.entries(), 3000);
    for n in 0..3000 {
        let entry = held.exact.peek(&key(n)).unwrap();
        assert_eq!(entry.answer.body, format!("answer {n}"));
    }
    let mut vectors = held.vectors.lock().clone();
    vectors.sort_unstable();
    vectors.dedup();
    assert_eq!(vectors.len(), 3000);
    assert_eq!(held.blobs.lock()["small"].as_ref(), b"value");
    assert_eq!(store.get_blob("small").unwrap().as_ref(), b"value");
    let stats = store.stats();
    assert_eq!((stats.filled, stats.damaged, stats.lost), (3000, 0, 0));
    assert_eq!(stats.state, State::Ready);
}

#[tokio::test]
async fn what_left_or_was_removed_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    let entries: Vec<_> = (0..10).map(|n| put(&store, &held, n)).collect();
    store.left([&entries[0]]);
    store.remove(vec![key(1)]).await.unwrap();
    let newer = put(&store, &held, 2);
    // Too late: another stands in its place.
    store.left([&entries[2]]);
    close(store);

    let (_store, held) = start(&path);
    held.filled().await;
    assert_eq!(held.exact.entries(), 8);
    assert!(held.exact.peek(&key(0)).is_none() && held.exact.peek(&key(1)).is_none());
    assert_eq!(held.exact.peek(&key(2)).unwrap().id(), newer.id());
}

#[tokio::test]
async fn what_is_newer_is_not_overwritten_by_what_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    put(&store, &held, 1);
    close(store);

    let held = Held::new();
    let now = Instant::now();
    let identity = crate::cache::Identity {
        exact: key(1),
        ..identity(0, 0, None)
    };
    let newer = Arc::new(Entry::new(
        &identity,
        answer("newer"),
        Origin::default(),
        HOUR,
        now,
    ));
    assert!(held.exact.put(newer, now).held);
    let _store = Store::start(&path, 1 << 30, held.clone()).unwrap();
    held.filled().await;
    assert_eq!(held.exact.peek(&key(1)).unwrap().answer.body, "newer");
}

#[tokio::test]
async fn a_removal_during_the_fill_reaches_what_is_not_read_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    for n in 0..2000 {
        put(&store, &held, n);
    }
    close(store);

    let (store, held) = start(&path);
    let which = |entry: &Entry| entry.answer.body.ends_with(b"7");
    // Both, as a purge does: what is read by then is in memory.
    let unread = store.remove_unread(which).await.unwrap();
    held.filled().await;
    let read = held.exact.remove_if(which);
    assert_eq!(unread + read.entries, 200);
    store.remove(read.keys).await.unwrap();
    close(store);

    let (_store, held) = start(&path);
    held.filled().await;
    assert_eq!(held.exact.entries(), 1800);
}

#[tokio::test]
async fn a_file_that_another_has_is_waited_for_and_then_filled_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (old, old_held) = start(&path);
    put(&old, &old_held, 1);
    assert_eq!(old.settled().await, State::Ready);

    let (new, new_held) = start(&path);
    assert_eq!(new.settled().await, State::Waiting);
    put(&new, &new_held, 2);
    assert!(new.put_blob_durably("b", b"x").await.is_err());
    assert!(new.remove(vec![key(1)]).await.is_err());
    close(old);
    new_held.filled().await;
    assert_eq!(new_held.exact.entries(), 2);
    new.put_blob_durably("b", b"x").await.unwrap();
    close(new);

    let (_store, held) = start(&path);
    held.filled().await;
    assert_eq!(held.exact.entries(), 2);
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_moved_aside_and_only_the_last_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for older in ["store.damaged-1", "store.damaged-22"] {
        std::fs::write(folder.path().join(older), "older").unwrap();
    }
    std::fs::write(folder.path().join("store.damaged-not"), "kept").unwrap();
    std::fs::write(&path, "no database at all".repeat(1000)).unwrap();
    let (store, held) = start(&path);
    assert_eq!(wait_for(&store, State::is_open).await, State::Ready);
    assert_eq!(store.stats().damaged, 1);
    put(&store, &held, 1);
    store.put_blob_durably("b", b"x").await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"store.damaged-not".to_owned()));
    assert!(!names.contains(&"store.damaged-22".to_owned()));
}

#[tokio::test]
async fn without_its_small_values_no_entry_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    put(&store, &held, 1);
    store.put_blob_durably("epochs", &[7; 600]).await.unwrap();
    close(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<_> = (0..bytes.len() - 64)
        .filter(|at| bytes[*at..at + 64] == [7; 64])
        .collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at] = 8);
    std::fs::write(&path, bytes).unwrap();

    let (store, held) = start(&path);
    wait_for(&store, State::is_open).await;
    assert_eq!(store.stats().damaged, 1);
    assert!(store.get_blob("epochs").is_none());
    close(store);
    assert_eq!(held.exact.entries(), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_failure_to_be_seen_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, held) = start(&folder.path().join("not/there/store"));
    let state = wait_for(&store, |state| matches!(state, State::Failed(_))).await;
    assert!(matches!(state, State::Failed(why) if why.contains("No such file")));
    put(&store, &held, 1);
    let said = store.put_blob_durably("b", b"x").await.unwrap_err();
    assert!(said.to_string().starts_with("not on disk: "), "{said}");
    assert_eq!(held.exact.entries(), 1);
    close(store);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_lost_and_counted_but_never_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (_old, _) = start(&path);
    assert_eq!(_old.settled().await, State::Ready);
    let (store, _) = start(&path);
    assert_eq!(store.settled().await, State::Waiting);
    let body = "x".repeat(1 << 20);
    for n in 0..100 {
        let entry = Entry::new(
            &identity(n, 0, None),
            answer(&body),
            Origin::default(),
            HOUR,
            Instant::now(),
        );
        store.put(&Arc::new(entry), None);
    }
    let stats = store.stats();
    assert!((30..50).contains(&stats.lost), "{stats:?}");
    assert!(stats.waiting_bytes <= QUEUE_BYTES as u64 + 100 * 128);
}

#[tokio::test]
async fn another_cache_can_take_the_open_file_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    for n in 0..100 {
        put(&store, &held, n);
    }
    store.put_blob_durably("b", b"x").await.unwrap();
    let next = Held::new();
    store.refill(next.clone(), 1 << 30);
    next.filled().await;
    assert_eq!(next.exact.entries(), 100);
    assert_eq!(next.blobs.lock()["b"].as_ref(), b"x");
}

#[tokio::test]
async fn dropping_a_store_writes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (store, held) = start(&path);
    // Whoever opens the file first has it.
    wait_for(&store, State::is_open).await;
    put(&store, &held, 1);
    drop(store);
    let (_store, held) = start(&path);
    held.filled().await;
    assert_eq!(held.exact.entries(), 1);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "prompts and answers are nobody else's");
}

async fn wait_for(store: &Store, wanted: impl FnMut(&State) -> bool) -> State {
    let mut wanted = wanted;
    let mut state = store.shared.state.subscribe();
    let waited = tokio::time::timeout(PATIENCE, state.wait_for(|state| wanted(state)));
    waited.await.unwrap().unwrap().clone()
}
