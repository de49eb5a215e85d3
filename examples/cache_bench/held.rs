//! Files of filled caches, each made by a process of its own, so that what measures them finds everything as after a restart.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder with a file for each number of entries.
pub(crate) struct Held {
    folder: PathBuf,
    /// Removed with all that is in it, where nobody named a folder.
    _own: Option<TempDir>,
}

impl Held {
    /// In `folder`, where they stay and are found again; left out, only as long as this lives.
    pub(crate) fn at(folder: Option<&Path>) -> std::io::Result<Self> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder)?;
            let folder = folder.canonicalize()?;
            return Ok(Self { folder, _own: None });
        }
        let own = tempfile::tempdir()?;
        Ok(Self {
            folder: own.path().to_owned(),
            _own: Some(own),
        })
    }

    pub(crate) fn path(&self, entries: usize) -> PathBuf {
        self.folder.join(format!("{entries}.redb"))
    }

    /// Has the file made by a process that does nothing else, unless it is there.
    pub(crate) fn fill(&self, entries: usize) -> Result<(), Box<dyn Error>> {
        let whole = self.folder.join(format!("{entries}.whole"));
        if whole.exists() {
            return Ok(());
        }
        let mut args: Vec<_> = std::env::args_os().skip(1).collect();
        args.push("--fill".into());
        args.push(self.path(entries).into());
        args.push("--entries".into());
        args.push(entries.to_string().into());
        let status = Command::new(std::env::current_exe()?).args(args).status()?;
        if !status.success() {
            return Err(format!("filling {entries} entries: {status}").into());
        }
        fs::write(whole, "")?;
        Ok(())
    }
}
