//! A cross-encoder run by ONNX Runtime through `fastembed`.

use fastembed::{RerankInitOptionsUserDefined, TextRerank, UserDefinedRerankingModel};

use super::Model;
use crate::cache::embed::{Files, Library, tokenizer_files};

/// Tokens read of two texts together.
const MAX_TOKENS: usize = 512;

pub(super) fn load(files: &Files, library: &Library) -> Result<Box<dyn Model>, String> {
    library.open()?;
    // By its path, for weights that lie beside it are found from there.
    let model = UserDefinedRerankingModel::new(files.graph.clone(), tokenizer_files(files)?);
    let options = RerankInitOptionsUserDefined::new()
        .with_max_length(MAX_TOKENS)
        .with_intra_threads(1);
    let session = TextRerank::try_new_from_user_defined(model, options)
        .map_err(|error| format!("{}: {error}", files.folder.display()))?;
    Ok(Box::new(session))
}

impl Model for TextRerank {
    fn score(&mut self, one: &str, other: &str) -> Result<f32, String> {
        let scores = self
            .rerank(one, [other], false, Some(1))
            .map_err(|error| error.to_string())?;
        match scores.first() {
            // The logit of "they belong together".
            Some(first) => Ok(1.0 / (1.0 + (-first.score).exp())),
            None => Err("the model gave no score".into()),
        }
    }
}
