//! A sentence model in a directory, run by ONNX Runtime through `fastembed`.
//!
//! The library is opened by its path before anything else touches `ort`, which would otherwise look for one by itself and
//! panic without. A process has one library: the first one opened serves all models.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastembed::{
    InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel,
};

use super::Model;
use crate::config::model::Embedder as Config;

/// Wordpieces that are read of a text.
const MAX_LENGTH: usize = 256;

const LIBRARY: &str = "libonnxruntime.so";

/// Why an embedder cannot be started.
#[derive(Debug)]
pub enum EmbedError {
    /// A file of the model cannot be read.
    Model(PathBuf, io::Error),
    /// ONNX Runtime's library cannot be read.
    Library(PathBuf, io::Error),
    /// A thread cannot be started.
    Thread(io::Error),
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(path, error) => {
                write!(
                    f,
                    "embedding model: {}: {error} (scripts/setup-embedder makes the directory)",
                    path.display()
                )
            }
            Self::Library(path, error) => write!(
                f,
                "ONNX Runtime: {}: {error} (name libonnxruntime with `library` or ORT_DYLIB_PATH)",
                path.display()
            ),
            Self::Thread(error) => write!(f, "embedding thread: {error}"),
        }
    }
}

impl std::error::Error for EmbedError {}

/// Where a model's files are. All of them can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    folder: PathBuf,
    library: PathBuf,
}

impl Files {
    pub(super) fn find(config: &Config) -> Result<Self, EmbedError> {
        let folder = config.path.clone();
        for name in [
            "model.onnx",
            "tokenizer.json",
            "config.json",
            "special_tokens_map.json",
            "tokenizer_config.json",
        ] {
            let path = folder.join(name);
            readable(&path).map_err(|error| EmbedError::Model(path, error))?;
        }
        let named = config.library.clone().or_else(|| {
            env::var_os("ORT_DYLIB_PATH")
                .filter(|v| !v.is_empty())
                .map(Into::into)
        });
        let library = named.unwrap_or_else(|| folder.join(LIBRARY));
        // A relative path would be taken from the program's own directory.
        let whole = library
            .canonicalize()
            .and_then(|whole| readable(&whole).map(|()| whole));
        match whole {
            Ok(library) => Ok(Self { folder, library }),
            Err(error) => Err(EmbedError::Library(library, error)),
        }
    }

    pub(super) fn load(&self) -> Result<Box<dyn Model>, String> {
        drop(ort::init_from(&self.library).map_err(|error| error.to_string())?);
        let read = |name: &str| {
            let path = self.folder.join(name);
            fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let tokenizer = TokenizerFiles {
            tokenizer_file: read("tokenizer.json")?,
            config_file: read("config.json")?,
            special_tokens_map_file: read("special_tokens_map.json")?,
            tokenizer_config_file: read("tokenizer_config.json")?,
        };
        let model = UserDefinedEmbeddingModel::new(read("model.onnx")?, tokenizer)
            .with_pooling(Pooling::Mean);
        let options = InitOptionsUserDefined::new()
            .with_max_length(MAX_LENGTH)
            .with_intra_threads(1);
        let mut model = TextEmbedding::try_new_from_user_defined(model, options)
            .map_err(|error| format!("{}: {error}", self.folder.display()))?;
        // The first run allocates and may find a graph that does not fit: better now than on a request.
        Model::embed(&mut model, "ready?")?;
        Ok(Box::new(model))
    }
}

fn readable(path: &Path) -> io::Result<()> {
    let meta = fs::File::open(path)?.metadata()?;
    if meta.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"))
    }
}

impl Model for TextEmbedding {
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, String> {
        let mut vectors =
            TextEmbedding::embed(self, [text], None).map_err(|error| error.to_string())?;
        match vectors.pop() {
            Some(vector) if !vector.is_empty() && vector.iter().all(|x| x.is_finite()) => {
                Ok(vector)
            }
            _ => Err("the model gave no vector".into()),
        }
    }
}
