//! The file: what is in it, and every way it can fail, told apart.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table,
    TableDefinition,
};

use super::clock::Clock;
use super::record::{self, Kind, Unreadable, Vector};
use crate::cache::entry::Entry;

const ENTRIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("entries");
const VECTORS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("vectors");
const BLOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("blobs");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Latest time written down, in microseconds since 1970.
const SEEN: &str = "seen";
/// Bytes of all entries and vectors.
const BYTES: &str = "bytes";
/// How the tables are laid out.
const FORMAT: &str = "format";
const THIS_FORMAT: u64 = 1;

/// Pages that the file keeps in memory. What is read often is held as entries anyway.
const PAGE_CACHE: usize = 32 << 20;

/// Bytes of file to a byte of entries at most: pages are little more than half full. Measured: 1.77.
const SPREAD: u64 = 2;

/// Of so many neighbours by key the oldest half leaves when the file is full.
const SAMPLE: usize = 16;

/// Small values by name.
pub type Blobs = BTreeMap<String, Arc<[u8]>>;

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another process has it.
    Busy,
    /// Its content makes no sense.
    Damaged(String),
    /// The operating system refused: a full disk, rights, a folder that is not there.
    Io(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => f.write_str("another process has it"),
            Self::Damaged(why) => write!(f, "damaged: {why}"),
            Self::Io(why) => f.write_str(why),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Damaged(error.to_string())
            }
            StorageError::Io(_) | StorageError::PreviousIo | StorageError::Unsupported => {
                Self::Io(error.to_string())
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Busy,
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// The other errors are of storage at their root, or mean that the tables are not ours.
macro_rules! through_storage {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                match error {
                    redb::$error::Storage(error) => error.into(),
                    other => Self::Damaged(other.to_string()),
                }
            }
        }
    )*};
}
through_storage!(TableError, TransactionError, CommitError);

/// One change to the file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// An entry, and its vector if it has one.
    Put {
        entry: Arc<Entry>,
        vector: Option<Vector>,
    },
    /// Takes out what is there under a key, or only the very entry with this id.
    Take { exact: [u8; 32], id: Option<u128> },
    /// A small value by name.
    Blob { name: String, value: Arc<[u8]> },
}

/// An entry read back.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) exact: [u8; 32],
    pub(super) entry: Result<Entry, Unreadable>,
}

/// A vector read back.
#[derive(Debug)]
pub(super) struct VectorRow {
    pub(super) exact: [u8; 32],
    pub(super) vector: Result<Vector, Unreadable>,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Disk {
    file: Database,
    clock: Clock,
    /// Of entries and vectors, as is the bound.
    bytes: u64,
    max_bytes: u64,
}

impl Disk {
    /// Opens the file, or makes it; `max_bytes` is what the file may take.
    pub(super) fn open(
        path: &Path,
        max_bytes: u64,
        now: Instant,
        wall: SystemTime,
    ) -> Result<(Self, Blobs), Failure> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Prompts and answers are nobody else's.
            .mode(0o600)
            .open(path)
            .map_err(|error| Failure::Io(error.to_string()))?;
        let file = Builder::new()
            .set_cache_size(PAGE_CACHE)
            // Of a file that was tampered with the database believes what it reads, up to an abort of the process.
            .set_check_integrity_on_open(true)
            .create_with_backend(FileBackend::new(file)?)?;
        let setup = file.begin_write()?;
        let (seen, bytes) = {
            setup.open_table(ENTRIES)?;
            setup.open_table(VECTORS)?;
            setup.open_table(BLOBS)?;
            let mut meta = setup.open_table(META)?;
            let read = |meta: &Table<'_, &str, u64>, name: &str| -> Result<_, Failure> {
                Ok(meta.get(name)?.map(|value| value.value()))
            };
            let format = read(&meta, FORMAT)?;
            if format.is_some_and(|format| format != THIS_FORMAT) {
                return Err(Failure::Damaged("of another version".to_owned()));
            }
            let bytes = read(&meta, BYTES)?.unwrap_or(0);
            let seen = read(&meta, SEEN)?.unwrap_or(0);
            if format.is_none() {
                meta.insert(FORMAT, THIS_FORMAT)?;
            }
            (seen, bytes)
        };
        setup.commit()?;
        let blobs = blobs(&file)?;
        let disk = Self {
            file,
            clock: Clock::new(Duration::from_micros(seen), wall, now),
            bytes,
            max_bytes: max_bytes / SPREAD,
        };
        Ok((disk, blobs))
    }

    /// Changes the bound of the file from the next write on.
    pub(super) fn bound(&mut self, max_bytes: u64) {
        self.max_bytes = max_bytes / SPREAD;
    }

    /// Bytes of the entries and vectors in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Carries all changes out or none, and returns once they would survive a power cut.
    pub(super) fn apply(&mut self, changes: &[Change], now: Instant) -> Result<(), Failure> {
        let mut transaction = self.file.begin_write()?;
        // Without it, whoever opens the file after a kill -9 must read the whole of it first.
        transaction.set_quick_repair(true);
        let mut bytes = self.bytes;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut vectors = transaction.open_table(VECTORS)?;
            let mut blobs = transaction.open_table(BLOBS)?;
            let mut meta = transaction.open_table(META)?;
            for change in changes {
                match change {
                    Change::Put { entry, vector } => {
                        let record = record::of_entry(entry, &self.clock);
                        put(&mut entries, &entry.exact, &record, &mut bytes)?;
                        match vector {
                            Some(vector) => {
                                let record = record::of_vector(&entry.exact, vector);
                                put(&mut vectors, &entry.exact, &record, &mut bytes)?;
                            }
                            None => take(&mut vectors, &entry.exact, &mut bytes)?,
                        }
                    }
                    Change::Take { exact, id } => {
                        let there = entries
                            .get(exact)?
                            .and_then(|record| record::id(record.value()));
                        if id.is_none() || *id == there {
                            take(&mut entries, exact, &mut bytes)?;
                            take(&mut vectors, exact, &mut bytes)?;
                        }
                    }
                    Change::Blob { name, value } => {
                        let record = record::seal(Kind::Blob, name.as_bytes(), value);
                        blobs.insert(name.as_str(), record.as_slice())?;
                    }
                }
            }
            while bytes > self.max_bytes && shrink(&mut entries, &mut vectors, &mut bytes)? {}
            meta.insert(BYTES, bytes)?;
            let seen = u64::try_from(self.clock.wall(now).as_micros()).unwrap_or(u64::MAX);
            meta.insert(SEEN, seen)?;
        }
        transaction.commit()?;
        self.bytes = bytes;
        Ok(())
    }

    /// The next entries after a key, in the order of their keys.
    pub(super) fn entries(
        &self,
        after: Option<&[u8; 32]>,
        count: usize,
        now: Instant,
    ) -> Result<Vec<Row>, Failure> {
        self.read(ENTRIES, after, count, |exact, record| Row {
            entry: record::to_entry(&exact, record, &self.clock, now),
            exact,
        })
    }

    /// The next vectors after a key, in the order of their keys.
    pub(super) fn vectors(
        &self,
        after: Option<&[u8; 32]>,
        count: usize,
    ) -> Result<Vec<VectorRow>, Failure> {
        self.read(VECTORS, after, count, |exact, record| VectorRow {
            vector: record::to_vector(&exact, record),
            exact,
        })
    }

    fn read<T>(
        &self,
        table: TableDefinition<'_, &'static [u8; 32], &'static [u8]>,
        after: Option<&[u8; 32]>,
        count: usize,
        row: impl Fn([u8; 32], &[u8]) -> T,
    ) -> Result<Vec<T>, Failure> {
        let table = self.file.begin_read()?.open_table(table)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = Vec::with_capacity(count);
        for read in table
            .range::<&[u8; 32]>((from, Bound::Unbounded))?
            .take(count)
        {
            let (exact, record) = read?;
            rows.push(row(*exact.value(), record.value()));
        }
        Ok(rows)
    }

    /// Gives the file up for others.
    pub(super) fn close(self) -> Result<(), Failure> {
        Ok(self.file.close()?)
    }
}

fn blobs(file: &Database) -> Result<Blobs, Failure> {
    let table = file.begin_read()?.open_table(BLOBS)?;
    let mut blobs = Blobs::new();
    for read in table.iter()? {
        let (name, record) = read?;
        let name = name.value();
        // What they say may be that entries no longer count: without them no entry can be trusted.
        let value = record::open(Kind::Blob, name.as_bytes(), record.value())
            .map_err(|_| Failure::Damaged(format!("the value {name:?} is not what was written")))?;
        blobs.insert(name.to_owned(), value.into());
    }
    Ok(blobs)
}

type Records<'a> = Table<'a, &'static [u8; 32], &'static [u8]>;

fn put(
    table: &mut Records<'_>,
    key: &[u8; 32],
    record: &[u8],
    bytes: &mut u64,
) -> Result<(), Failure> {
    *bytes += size(key, record);
    if let Some(before) = table.insert(key, record)? {
        *bytes = bytes.saturating_sub(size(key, before.value()));
    }
    Ok(())
}

fn take(table: &mut Records<'_>, key: &[u8; 32], bytes: &mut u64) -> Result<(), Failure> {
    if let Some(before) = table.remove(key)? {
        *bytes = bytes.saturating_sub(size(key, before.value()));
    }
    Ok(())
}

fn size(key: &[u8; 32], record: &[u8]) -> u64 {
    (key.len() + record.len()) as u64
}

/// Takes out the older half of a few entries that lie beside each other; whether there was one.
fn shrink(
    entries: &mut Records<'_>,
    vectors: &mut Records<'_>,
    bytes: &mut u64,
) -> Result<bool, Failure> {
    let from: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    let mut sample = Vec::with_capacity(SAMPLE);
    for read in entries.range::<&[u8; 32]>(&from..)?.take(SAMPLE) {
        let (key, record) = read?;
        sample.push((record::stored_at(record.value()), *key.value()));
    }
    if sample.is_empty() {
        for read in entries.iter()?.take(SAMPLE) {
            let (key, record) = read?;
            sample.push((record::stored_at(record.value()), *key.value()));
        }
    }
    sample.sort_unstable();
    for (_, key) in &sample[..sample.len().div_ceil(2)] {
        take(entries, key, bytes)?;
        take(vectors, key, bytes)?;
    }
    Ok(!sample.is_empty())
}

#[cfg(test)]
mod tests;
