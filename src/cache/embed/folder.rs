//! A sentence model's directory: which files it has, and how they say that texts become vectors.
//!
//! It is laid out as sentence-transformers writes it, with the model in ONNX:
//!
//! ```text
//!  model.onnx | onnx/model.onnx [+ _data]  tokenizer.json  tokenizer_config.json  [config.json]  [special_tokens_map.json]
//!  [modules.json] [1_Pooling/config.json] [sentence_bert_config.json] [config_sentence_transformers.json]
//! ```
//!
//! What the configuration names itself (`pooling`, `prefix`) wins over what the directory says, and where neither says
//! anything a text's vector is the mean of its first 256 tokens' vectors.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::EmbedError;
use super::library::readable;
use crate::config::model::{Embedder as Config, Pooling};

/// Tokens read of a text where the directory does not say.
const MAX_TOKENS: usize = 256;

/// Where a model is and what is done with it. Its files can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) files: Files,
    pub(super) pooling: Pooling,
    /// Goes in front of each text.
    pub(super) prefix: String,
    /// Tokens read of a text.
    pub(super) max_tokens: usize,
    /// Length of a token's vector, if said.
    pub(super) dimensions: Option<usize>,
    /// What follows the pooling and so must be inside the graph.
    pub(super) inside: Option<String>,
}

/// The files of a model, of whichever kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cache) struct Files {
    pub(in crate::cache) folder: PathBuf,
    pub(in crate::cache) graph: PathBuf,
    /// Weights beside the graph, where it keeps them outside.
    pub(in crate::cache) weights: Option<PathBuf>,
}

impl Files {
    /// Finds the graph and the tokenizer in a directory.
    pub(in crate::cache) fn find(folder: &Path) -> Result<Self, EmbedError> {
        let is_there = |name: &str| {
            let path = folder.join(name);
            match readable(&path) {
                Ok(()) => Ok(path),
                Err(error) => Err(EmbedError::Model(path, error)),
            }
        };
        let graph = is_there("model.onnx")
            .or_else(|error| is_there("onnx/model.onnx").map_err(|_| error))?;
        is_there("tokenizer.json")?;
        is_there("tokenizer_config.json")?;
        let beside = |end: &str| {
            let mut name = graph.clone().into_os_string();
            name.push(end);
            Some(PathBuf::from(name)).filter(|path| readable(path).is_ok())
        };
        Ok(Self {
            weights: beside("_data").or_else(|| beside(".data")),
            folder: folder.to_owned(),
            graph,
        })
    }
}

impl Folder {
    pub(super) fn find(config: &Config) -> Result<Self, EmbedError> {
        let files = Files::find(&config.path)?;
        let folder = &files.folder;
        let modules = Modules::read(folder)?;
        let pool = json(&folder.join(&modules.pooling).join("config.json"))?;
        let pooling = match (config.pooling, &pool) {
            (Some(pooling), _) => pooling,
            (None, Some(said)) => {
                pooling(&said.value).map_err(|why| EmbedError::Unfit(said.path.clone(), why))?
            }
            (None, None) => Pooling::Mean,
        };
        let prefix = match &config.prefix {
            Some(prefix) => prefix.clone(),
            None => json(&folder.join("config_sentence_transformers.json"))?
                .and_then(|said| prompt(&said.value))
                .unwrap_or_default(),
        };
        let said = |name: &str| pool.as_ref()?.value.get(name);
        if let Some(pool) = &pool
            && said("include_prompt") == Some(&Value::Bool(false))
            && !prefix.is_empty()
        {
            let why = "`include_prompt: false` is not known: set `prefix: \"\"`";
            return Err(EmbedError::Unfit(pool.path.clone(), why.into()));
        }
        let dimensions = said("embedding_dimension").or_else(|| said("word_embedding_dimension"));
        Ok(Self {
            pooling,
            prefix,
            max_tokens: max_tokens(folder)?,
            dimensions: dimensions.and_then(count),
            inside: modules.inside,
            files,
        })
    }
}

/// What `modules.json` says.
struct Modules {
    pooling: String,
    inside: Option<String>,
}

impl Modules {
    fn read(folder: &Path) -> Result<Self, EmbedError> {
        let mut read = Self {
            pooling: "1_Pooling".into(),
            inside: None,
        };
        let said = json(&folder.join("modules.json"))?;
        let modules = said.as_ref().and_then(|said| said.value.as_array());
        for module in modules.into_iter().flatten() {
            let word = |name: &str| module.get(name).and_then(Value::as_str).unwrap_or_default();
            let kind = word("type").rsplit('.').next().unwrap_or_default();
            match kind {
                "Transformer" | "Normalize" => {}
                "Pooling" => read.pooling = word("path").to_owned(),
                other => read.inside = Some(other.to_owned()),
            }
        }
        Ok(read)
    }
}

/// The newer form has one word, the older a flag for each way.
fn pooling(said: &Value) -> Result<Pooling, String> {
    const FLAG: &str = "pooling_mode_";
    let mut ways: Vec<&str> = match said.get("pooling_mode") {
        Some(Value::String(way)) => vec![way],
        Some(Value::Array(ways)) => ways.iter().filter_map(Value::as_str).collect(),
        _ => said
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, on)| **on == Value::Bool(true))
            .filter_map(|(name, _)| name.strip_prefix(FLAG))
            .collect(),
    };
    ways.dedup();
    match ways[..] {
        ["mean" | "mean_tokens"] | [] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::Cls),
        ["lasttoken" | "last_token"] => Ok(Pooling::LastToken),
        _ => Err(format!(
            "pooling by {} is not known (mean, cls and lasttoken are; `pooling` can name one)",
            ways.join(" and ")
        )),
    }
}

/// The prompt that the model asks for. Two questions are compared, so the one for like sentences comes before the one
/// for searches.
fn prompt(said: &Value) -> Option<String> {
    let prompts = said.get("prompts")?;
    let default = said.get("default_prompt_name").and_then(Value::as_str);
    let names = default.into_iter().chain(["STS", "query"]);
    let prompt = names
        .filter_map(|name| prompts.get(name)?.as_str())
        .next()?;
    Some(prompt.to_owned())
}

fn max_tokens(folder: &Path) -> Result<usize, EmbedError> {
    let said = json(&folder.join("sentence_bert_config.json"))?;
    let most = said.and_then(|said| said.value.get("max_seq_length").and_then(count));
    Ok(most.unwrap_or(MAX_TOKENS))
}

fn count(value: &Value) -> Option<usize> {
    let count = usize::try_from(value.as_u64()?).ok()?;
    (count > 0).then_some(count)
}

/// A file and what it says.
struct Said {
    path: PathBuf,
    value: Value,
}

/// Reads a file that need not be there.
fn json(path: &Path) -> Result<Option<Said>, EmbedError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EmbedError::Model(path.to_owned(), error)),
    };
    let path = path.to_owned();
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(Said { path, value })),
        Err(error) => Err(EmbedError::Unfit(path, error.to_string())),
    }
}

#[cfg(test)]
mod tests;
