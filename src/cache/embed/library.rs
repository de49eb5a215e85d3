//! ONNX Runtime's library.
//!
//! It is opened by its path before anything else touches `ort`, which would otherwise look for one by itself and panic
//! without. A process has one library: the first one opened serves all models.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::EmbedError;

const NAME: &str = "libonnxruntime.so";

/// Where the library is. It can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cache) struct Library(PathBuf);

impl Library {
    /// Finds the library: the one named, else the one of `ORT_DYLIB_PATH`, else the one beside the model.
    pub(in crate::cache) fn find(named: Option<&Path>, folder: &Path) -> Result<Self, EmbedError> {
        let named = named.map(Path::to_owned).or_else(|| {
            env::var_os("ORT_DYLIB_PATH")
                .filter(|v| !v.is_empty())
                .map(Into::into)
        });
        let library = named.unwrap_or_else(|| folder.join(NAME));
        // A relative path would be taken from the program's own directory.
        let whole = library
            .canonicalize()
            .and_then(|whole| readable(&whole).map(|()| whole));
        match whole {
            Ok(whole) => Ok(Self(whole)),
            Err(error) => Err(EmbedError::Library(library, error)),
        }
    }

    /// Opens it, if no library is open yet.
    pub(in crate::cache) fn open(&self) -> Result<(), String> {
        drop(ort::init_from(&self.0).map_err(|error| error.to_string())?);
        Ok(())
    }
}

pub(super) fn readable(path: &Path) -> io::Result<()> {
    let meta = fs::File::open(path)?.metadata()?;
    if meta.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"))
    }
}
