use super::*;
use crate::cache::entry::Answer;
use crate::cache::entry::tests::{answer, identity};
use crate::cache::origin::Origin;

const HOUR: Duration = Duration::from_secs(3600);

fn entry(n: u8, body: &str, now: Instant) -> Arc<Entry> {
    let answer: Answer = answer(body);
    Arc::new(Entry::new(
        &identity(n, 0, None),
        answer,
        Origin::default(),
        HOUR,
        now,
    ))
}

fn put(entry: &Arc<Entry>) -> Change {
    Change::Put {
        entry: Arc::clone(entry),
        vector: Some(Vector {
            id: entry.number(),
            class: [1; 32],
            model: [2; 32],
            packed: vec![7; 16],
        }),
    }
}

fn open(path: &Path, max_bytes: u64) -> (Disk, Blobs) {
    Disk::open(path, max_bytes, Instant::now(), SystemTime::now()).unwrap()
}

fn bodies(disk: &Disk) -> Vec<String> {
    let rows = disk.entries(None, 1000, Instant::now()).unwrap();
    let text = |row: Row| String::from_utf8(row.entry.unwrap().answer.body.to_vec()).unwrap();
    rows.into_iter().map(text).collect()
}

#[test]
fn what_was_applied_is_there_after_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let now = Instant::now();
    let (mut disk, blobs) = open(&path, 1 << 30);
    assert!(blobs.is_empty());
    let (a, b) = (entry(1, "a", now), entry(2, "b", now));
    let blob = Change::Blob {
        name: "epochs".into(),
        value: Arc::from(*b"seven"),
    };
    disk.apply(&[put(&a), put(&b), blob], now).unwrap();
    let bytes = disk.bytes();
    disk.close().unwrap();

    let (mut disk, blobs) = open(&path, 1 << 30);
    assert_eq!(blobs["epochs"].as_ref(), b"seven");
    assert_eq!(disk.bytes(), bytes);
    assert_eq!(bodies(&disk), ["a", "b"]);
    let vectors = disk.vectors(None, 10).unwrap();
    assert_eq!(vectors.len(), 2);
    assert_eq!(vectors[0].vector.as_ref().unwrap().id, a.number());

    let by_id = |entry: &Entry, id| Change::Take {
        exact: entry.exact,
        id,
    };
    disk.apply(&[by_id(&a, Some(12)), by_id(&b, None)], now)
        .unwrap();
    assert_eq!(bodies(&disk), ["a"]);
    disk.apply(&[by_id(&a, Some(a.number()))], now).unwrap();
    assert_eq!((bodies(&disk).len(), disk.bytes()), (0, 0));
    assert!(disk.vectors(None, 10).unwrap().is_empty());
}

#[test]
fn a_file_that_another_has_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (disk, _) = open(&path, 1 << 30);
    let again = Disk::open(&path, 1, Instant::now(), SystemTime::now());
    assert_eq!(again.unwrap_err(), Failure::Busy);
    disk.close().unwrap();
    open(&path, 1 << 30);
}

#[test]
fn rows_are_read_in_parts_that_join() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(&folder.path().join("store"), 1 << 30);
    let now = Instant::now();
    let puts: Vec<_> = (0..=255).map(|n| put(&entry(n, "x", now))).collect();
    disk.apply(&puts, now).unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let rows = disk.entries(after.as_ref(), 10, now).unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(last.exact);
        seen.extend(rows.iter().map(|row| row.exact[0]));
    }
    assert_eq!(seen, (0..=255).collect::<Vec<_>>());
}

#[test]
fn over_its_bound_the_oldest_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(&folder.path().join("store"), 120_000);
    let start = Instant::now();
    let body = "x".repeat(1000);
    for n in 0..=255 {
        let at = start + Duration::from_secs(n.into());
        disk.apply(&[put(&entry(n, &body, at))], at).unwrap();
        assert!(disk.bytes() <= 60_000);
    }
    let rows = disk.entries(None, 1000, start).unwrap();
    assert!((20..60).contains(&rows.len()), "{}", rows.len());
    let young = rows.iter().filter(|row| row.exact[0] >= 128).count();
    assert!(young * 10 >= rows.len() * 8, "{young} of {}", rows.len());
}

/// Wherever the file is damaged, it is refused or what is read from it is what was written.
#[test]
fn damage_anywhere_is_noticed_and_never_read_as_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let now = Instant::now();
    let (mut disk, _) = open(&path, 1 << 30);
    let puts: Vec<_> = (0..100)
        .map(|n| put(&entry(n, &format!("answer {n}"), now)))
        .collect();
    disk.apply(&puts, now).unwrap();
    disk.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let (mut refused, mut read) = (0, 0);
    for _ in 0..150 {
        let mut bent = whole.clone();
        // A single byte is often one that nothing stands in.
        let most = if random.bool() { 2 } else { 200 };
        for _ in 0..random.usize(1..most) {
            let at = random.usize(..bent.len());
            bent[at] ^= random.u8(1..);
        }
        if random.u8(..4) == 0 {
            bent.truncate(random.usize(..whole.len()));
        }
        std::fs::write(&path, &bent).unwrap();
        let tried = std::panic::catch_unwind(|| {
            let (disk, _) = Disk::open(&path, 1 << 30, Instant::now(), SystemTime::now())?;
            disk.entries(None, 1000, now)
        });
        match tried {
            Ok(Ok(rows)) => {
                for row in rows {
                    let Ok(entry) = row.entry else { continue };
                    read += 1;
                    assert_eq!(entry.answer.body, format!("answer {}", row.exact[0]));
                }
            }
            Ok(Err(Failure::Busy)) => panic!("still locked after a failure"),
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    assert!(refused > 10 && read > 100, "{refused} {read}");
}
