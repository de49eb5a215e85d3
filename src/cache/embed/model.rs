//! A sentence model run by ONNX Runtime through `fastembed`.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;

use fastembed::{
    InitOptionsUserDefined, SingleBatchOutput, TextEmbedding, TokenizerFiles,
    UserDefinedEmbeddingModel,
};

use super::folder::{Files, Folder};
use super::library::Library;
use super::pooling::{Output, pooled};
use super::{Loaded, Model};

/// Changed whenever the same files would give another vector.
const VERSION: &[u8] = b"tollgate-embedder-1";

/// The name of an output that is a whole text's vector already, as sentence-transformers exports it.
const WHOLE: &str = "sentence_embedding";

/// The name of the vectors of tokens. Where it is not, the first output is taken.
const TOKENS: &str = "last_hidden_state";

/// A session and what is done around it.
struct Sentences {
    session: TextEmbedding,
    folder: Folder,
}

/// Loads a model and works its id out.
pub(super) fn load(folder: &Folder, library: &Library) -> Result<Loaded, String> {
    library.open()?;
    let files = &folder.files;
    let graph = read(&files.graph)?;
    let tokenizer = tokenizer_files(files)?;
    let mut id = blake3::Hasher::new_derive_key("tollgate embedder");
    let mut part = |bytes: &[u8]| {
        id.update(blake3::hash(bytes).as_bytes());
    };
    part(VERSION);
    part(&graph);
    part(&tokenizer.tokenizer_file);
    part(&tokenizer.tokenizer_config_file);
    part(&tokenizer.special_tokens_map_file);
    part(format!("{:?}", folder.pooling).as_bytes());
    part(folder.prefix.as_bytes());
    part(&folder.max_tokens.to_le_bytes());

    let mut model = UserDefinedEmbeddingModel::new(graph, tokenizer);
    if let Some(path) = &files.weights {
        let weights = read(path)?;
        part(&weights);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        model = model.with_external_initializer(name.into_owned(), weights);
    }
    let options = InitOptionsUserDefined::new()
        .with_max_length(folder.max_tokens)
        .with_intra_threads(1);
    let session = TextEmbedding::try_new_from_user_defined(model, options)
        .map_err(|error| format!("{}: {error}", files.folder.display()))?;
    Ok(Loaded {
        model: Box::new(Sentences {
            session,
            folder: folder.clone(),
        }),
        id: id.finalize().into(),
    })
}

/// The tokenizer of a model; what only some models have may be missing.
pub(in crate::cache) fn tokenizer_files(files: &Files) -> Result<TokenizerFiles, String> {
    let need = |name: &str| read(&files.folder.join(name));
    let may = |name: &str| match fs::read(files.folder.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(b"{}".to_vec()),
        read => read.map_err(|error| format!("{name}: {error}")),
    };
    Ok(TokenizerFiles {
        tokenizer_file: need("tokenizer.json")?,
        config_file: may("config.json")?,
        special_tokens_map_file: may("special_tokens_map.json")?,
        tokenizer_config_file: need("tokenizer_config.json")?,
    })
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

impl Model for Sentences {
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
        let prefix = &self.folder.prefix;
        let texts: Vec<Cow<'_, str>> = texts
            .iter()
            .map(|text| match prefix.is_empty() {
                true => Cow::Borrowed(*text),
                false => Cow::Owned(format!("{prefix}{text}")),
            })
            .collect();
        let output = self
            .session
            .transform(&texts, Some(texts.len()))
            .map_err(|error| error.to_string())?;
        let vectors = output
            .into_raw()
            .iter()
            .map(|batch| self.vectors(batch))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(vectors.into_iter().flatten().collect())
    }
}

impl Sentences {
    fn vectors(&self, batch: &SingleBatchOutput) -> Result<Vec<Vec<f32>>, String> {
        let named = |wanted: &str| batch.outputs.iter().find(|(name, _)| name == wanted);
        let (name, tensor) = named(WHOLE)
            .or_else(|| named(TOKENS))
            .or(batch.outputs.first())
            .ok_or("the model has no output")?;
        let (shape, data) = tensor
            .try_extract_tensor::<f32>()
            .map_err(|error| format!("output {name}: {error}"))?;
        let shape: &[i64] = shape;
        if let (Some(inside), 3) = (&self.folder.inside, shape.len()) {
            return Err(format!(
                "modules.json has a {inside} after the pooling, and the graph has no output `{WHOLE}` with its result"
            ));
        }
        if let ([_, _, components], Some(said)) = (shape, self.folder.dimensions)
            && usize::try_from(*components) != Ok(said)
        {
            return Err(format!(
                "its vectors have {components} components, and the directory says {said}"
            ));
        }
        let mask = batch
            .attention_mask_array
            .as_slice()
            .ok_or("the tokens are out of order")?;
        pooled(Output { shape, data }, mask, self.folder.pooling)
    }
}
