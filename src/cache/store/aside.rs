//! Moving a damaged file out of the way, so that it can be looked at and is not tried again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Renames the file to `PATH.damaged-TIME`, the time in seconds since 1970; where it lies now. Of such files the newest is
/// kept.
pub(super) fn move_aside(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{name}.damaged-");
    let aside = path.with_file_name(format!("{prefix}{seconds}"));
    for older in earlier(path, &prefix) {
        if let Err(error) = fs::remove_file(&older) {
            log::warn!("{}: {error}", older.display());
        }
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn earlier(path: &Path, prefix: &str) -> Vec<PathBuf> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    listed
        .flatten()
        .filter(|file| {
            let name = file.file_name();
            let rest = name.to_string_lossy();
            rest.strip_prefix(prefix)
                .is_some_and(|time| time.bytes().all(|b| b.is_ascii_digit()))
        })
        .map(|file| file.path())
        .collect()
}
