//! Models of all kinds in directories, run for real.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::super::model;
use super::super::{folder::Folder, library::Library};
use super::*;
use crate::cache::embed::tests::onnx;
use crate::config::model::Pooling;

/// A directory with a model, and files that say more of it.
fn folder(graph: &[u8], files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    onnx::write(folder.path(), graph);
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn at(folder: &Path, library: &Path) -> Config {
    Config {
        path: folder.to_owned(),
        library: Some(library.to_owned()),
        ..config(1)
    }
}

async fn vector(config: &Config, text: &str) -> Vec<f32> {
    let embedder = Embedder::start(config).unwrap();
    assert_eq!(settled(&embedder), EmbedState::Ready);
    embedder.embed(text, patience()).await.unwrap().to_vec()
}

fn failed(config: &Config) -> String {
    match Embedder::start(config).map(|embedder| settled(&embedder)) {
        Ok(EmbedState::Failed(why)) => why,
        Ok(state) => panic!("{state:?}"),
        Err(error) => error.to_string(),
    }
}

/// Where a vector points: the words whose direction it has, each with its share of the whole.
fn points(vector: &[f32]) -> Vec<(&'static str, f32)> {
    let squares = onnx::WORDS.iter().zip(vector).map(|(w, x)| (*w, x * x));
    squares.filter(|(_, share)| *share > 1e-6).collect()
}

fn is(vector: &[f32], wanted: &[(&str, f32)]) {
    let points = points(vector);
    let near = |((word, share), (wanted, of)): (&(&str, f32), &(&str, f32))| {
        word == wanted && (share - of).abs() < 1e-5
    };
    let same = points.len() == wanted.len() && points.iter().zip(wanted).all(near);
    assert!(same, "{points:?} instead of {wanted:?}");
}

const MEAN: &str = r#"{ "word_embedding_dimension": 6, "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false }"#;
const CLS: &str = r#"{ "word_embedding_dimension": 6, "pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true }"#;
const LAST: &str = r#"{ "pooling_mode": "lasttoken", "embedding_dimension": 6 }"#;
const MODULES: &str = r#"[ { "idx": 0, "path": "", "type": "sentence_transformers.models.Transformer" },
    { "idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
    { "idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize" } ]"#;

#[tokio::test]
async fn the_directory_says_how_tokens_become_a_vector_and_the_configuration_may_say_otherwise() {
    let Some(library) = onnx::library() else {
        return;
    };
    let graph = onnx::of_tokens(&onnx::directions());
    let half = [("red", 0.5), ("green", 0.5)];
    let cases: [(&str, &[(&str, f32)]); 3] = [
        (MEAN, &half),
        (CLS, &[("red", 1.0)]),
        (LAST, &[("green", 1.0)]),
    ];
    for (said, wanted) in cases {
        let files = [("modules.json", MODULES), ("1_Pooling/config.json", said)];
        let folder = folder(&graph, &files);
        let config = at(folder.path(), &library);
        is(&vector(&config, "red green").await, wanted);
        let config = Config {
            pooling: Some(Pooling::LastToken),
            ..config
        };
        is(&vector(&config, "red blue").await, &[("blue", 1.0)]);
    }
    let bare = folder(&graph, &[]);
    is(
        &vector(&at(bare.path(), &library), "red green").await,
        &half,
    );
}

#[tokio::test]
async fn a_prefix_goes_in_front_of_every_text() {
    let Some(library) = onnx::library() else {
        return;
    };
    let graph = onnx::of_tokens(&onnx::directions());
    let prompts = r#"{ "prompts": { "query": "query query ", "document": "blue " }, "default_prompt_name": null }"#;
    let folder = folder(&graph, &[("config_sentence_transformers.json", prompts)]);
    let config = at(folder.path(), &library);
    // Two of three tokens: shares of the squares are 4 to 1.
    is(
        &vector(&config, "red").await,
        &[("query", 0.8), ("red", 0.2)],
    );
    let config = Config {
        prefix: Some(String::new()),
        ..config
    };
    is(&vector(&config, "red").await, &[("red", 1.0)]);
}

#[tokio::test]
async fn no_more_tokens_are_read_than_the_directory_says() {
    let Some(library) = onnx::library() else {
        return;
    };
    let graph = onnx::of_tokens(&onnx::directions());
    let said = [("sentence_bert_config.json", r#"{ "max_seq_length": 2 }"#)];
    let folder = folder(&graph, &said);
    let vector = vector(&at(folder.path(), &library), "red red green blue").await;
    is(&vector, &[("red", 1.0)]);
}

#[tokio::test]
async fn a_graph_that_pools_by_itself_and_lies_in_a_folder_of_its_own_will_do() {
    let Some(library) = onnx::library() else {
        return;
    };
    let graph = onnx::of_texts("sentence_embedding", &onnx::directions());
    let dense = MODULES.replace("Normalize", "Dense");
    let files = [("modules.json", &*dense), ("1_Pooling/config.json", CLS)];
    let folder = folder(&graph, &files);
    fs::create_dir(folder.path().join("onnx")).unwrap();
    let (from, to) = ("model.onnx", "onnx/model.onnx");
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    let vector = vector(&at(folder.path(), &library), "red green").await;
    is(&vector, &[("red", 0.5), ("green", 0.5)]);
}

#[test]
fn a_model_that_is_not_what_its_directory_says_is_refused_in_words() {
    let Some(library) = onnx::library() else {
        return;
    };
    let graph = onnx::of_tokens(&onnx::directions());
    let dense = MODULES.replace("Normalize", "Dense");
    let wide = MEAN.replace('6', "384");
    let cases = [
        (vec![("modules.json", &*dense)], "Dense"),
        (vec![("1_Pooling/config.json", &*wide)], "384"),
        (vec![("tokenizer_config.json", "{}")], "model_max_length"),
        (vec![("modules.json", "[")], "modules.json"),
    ];
    for (files, word) in cases {
        let folder = folder(&graph, &files);
        let why = failed(&at(folder.path(), &library));
        assert!(why.contains(word), "{files:?}: {why}");
    }
}

#[test]
fn padding_and_company_do_not_change_a_float_models_vectors_so_it_takes_batches() {
    let Some(library) = onnx::library() else {
        return;
    };
    let folder = folder(&onnx::of_tokens(&onnx::directions()), &[]);
    let config = at(folder.path(), &library);
    let embedder = Embedder::start(&config).unwrap();
    assert_eq!(settled(&embedder), EmbedState::Ready);
    let facts = embedder.facts().unwrap();
    assert_eq!((facts.dimensions, facts.batches), (6, true));

    let library = Library::find(Some(&library), folder.path()).unwrap();
    let files = Folder::find(&config).unwrap();
    let mut loaded = model::load(&files, &library).unwrap();
    let vectors = loaded
        .model
        .embed(&["red", "green blue blue", "red"])
        .unwrap();
    is(&vectors[0], &[("red", 1.0)]);
    is(&vectors[1], &[("green", 0.2), ("blue", 0.8)]);
    assert_eq!(vectors[0], vectors[2]);
}

#[test]
fn whatever_can_change_a_vector_changes_the_models_id_and_nothing_else_does() {
    let Some(library) = onnx::library() else {
        return;
    };
    let id = |graph: &[u8], files: &[(&str, &str)], change: &dyn Fn(&mut Config)| {
        let folder = folder(graph, files);
        let mut config = at(folder.path(), &library);
        change(&mut config);
        let embedder = Embedder::start(&config).unwrap();
        assert_eq!(settled(&embedder), EmbedState::Ready);
        embedder.model_id().unwrap()
    };
    let graph = onnx::of_tokens(&onnx::directions());
    let mut rows = onnx::directions();
    rows[3][3] = 1.5;
    let other = onnx::of_tokens(&rows);
    let length = [("sentence_bert_config.json", r#"{ "max_seq_length": 2 }"#)];
    let cls = [("1_Pooling/config.json", CLS)];
    let ids = [
        id(&graph, &[], &|_| {}),
        id(&other, &[], &|_| {}),
        id(&graph, &length, &|_| {}),
        id(&graph, &cls, &|_| {}),
        id(&graph, &[], &|config| config.prefix = Some("query ".into())),
    ];
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
    let same = id(&graph, &cls, &|config| {
        config.pooling = Some(Pooling::Mean);
        config.model = "another name".into();
        config.cache_bytes = 0;
    });
    assert_eq!(same, ids[0]);
}
