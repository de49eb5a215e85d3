//! Models small enough to be written here: real ONNX, run by the real runtime, with vectors that can be told in advance.
//!
//! Protobuf is written by hand: a field is its number and kind, then a varint or a length and that many bytes.

use std::fs;
use std::path::{Path, PathBuf};

const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// Words that the tokenizer knows; a word's place is its id. The second is the padding.
pub(crate) const WORDS: [&str; 6] = ["[UNK]", "[PAD]", "query", "red", "green", "blue"];

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

fn text(field: u64, content: &str) -> Vec<u8> {
    bytes(field, content.as_bytes())
}

fn table(rows: &[Vec<f32>]) -> Vec<u8> {
    let raw: Vec<u8> = rows
        .iter()
        .flatten()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    [
        number(1, rows.len() as u64),
        number(1, rows[0].len() as u64),
        number(2, FLOAT),
        text(8, "table"),
        bytes(9, &raw),
    ]
    .concat()
}

/// A tensor with as many open dimensions and then those given.
fn value(name: &str, kind: u64, open: &[&str], last: Option<u64>) -> Vec<u8> {
    let open = open.iter().map(|name| bytes(1, &text(2, name)));
    let last = last.map(|size| bytes(1, &number(1, size)));
    let shape = open.chain(last).flatten().collect::<Vec<u8>>();
    let tensor = [number(1, kind), bytes(2, &shape)].concat();
    [text(1, name), bytes(2, &bytes(1, &tensor))].concat()
}

fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| text(1, name));
    let attributes = attributes.iter().flat_map(|a| bytes(5, a));
    inputs
        .chain(text(2, output))
        .chain(text(4, kind))
        .chain(attributes)
        .collect()
}

fn model(nodes: &[Vec<u8>], rows: &[Vec<f32>], outputs: &[Vec<u8>]) -> Vec<u8> {
    let graph = nodes
        .iter()
        .flat_map(|node| bytes(1, node))
        .chain(text(2, "tiny"))
        .chain(bytes(5, &table(rows)))
        .chain(bytes(
            11,
            &value("input_ids", INT64, &["texts", "tokens"], None),
        ))
        .chain(bytes(
            11,
            &value("attention_mask", INT64, &["texts", "tokens"], None),
        ))
        .chain(outputs.iter().flat_map(|output| bytes(12, output)))
        .collect::<Vec<u8>>();
    let opset = [text(1, ""), number(2, 13)].concat();
    [number(1, 8), bytes(8, &opset), bytes(7, &graph)].concat()
}

fn looked_up(output: &str) -> Vec<u8> {
    node("Gather", &["table", "input_ids"], output, &[])
}

/// The mean over all tokens, padding too.
fn mean(output: &str) -> Vec<u8> {
    let axes = [text(1, "axes"), number(8, 1), number(20, 7)].concat();
    let drop = [text(1, "keepdims"), number(3, 0), number(20, 2)].concat();
    node("ReduceMean", &["tokens"], output, &[axes, drop])
}

/// Each token's vector is its word's row.
pub(crate) fn of_tokens(rows: &[Vec<f32>]) -> Vec<u8> {
    let size = rows[0].len() as u64;
    let output = value("last_hidden_state", FLOAT, &["texts", "tokens"], Some(size));
    model(&[looked_up("last_hidden_state")], rows, &[output])
}

/// The graph gives whole texts' vectors, and so pools by itself.
pub(crate) fn of_texts(output: &str, rows: &[Vec<f32>]) -> Vec<u8> {
    let size = rows[0].len() as u64;
    let shape = value(output, FLOAT, &["texts"], Some(size));
    model(&[looked_up("tokens"), mean(output)], rows, &[shape])
}

/// Rows by which each word is a direction of its own, and padding and the unknown point elsewhere.
pub(crate) fn directions() -> Vec<Vec<f32>> {
    let row = |at: usize| (0..6).map(|n| f32::from(n == at)).collect();
    (0..6).map(row).collect()
}

/// Writes a model and its tokenizer.
pub(crate) fn write(folder: &Path, graph: &[u8]) {
    let vocabulary: Vec<String> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| format!("\"{word}\": {id}"))
        .collect();
    let tokenizer = format!(
        r#"{{ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {{ "type": "Whitespace" }}, "post_processor": null, "decoder": null,
            "model": {{ "type": "WordLevel", "unk_token": "[UNK]", "vocab": {{ {} }} }} }}"#,
        vocabulary.join(", ")
    );
    fs::write(folder.join("model.onnx"), graph).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
    let config = r#"{ "model_max_length": 64, "pad_token": "[PAD]" }"#;
    fs::write(folder.join("tokenizer_config.json"), config).unwrap();
}

/// ONNX Runtime's library, where there is one.
pub(crate) fn library() -> Option<PathBuf> {
    let Some(models) = std::env::var_os("TOLLGATE_MODELS") else {
        println!("skipped: no ONNX Runtime (TOLLGATE_MODELS is not set)");
        return None;
    };
    Some(Path::new(&models).join("all-MiniLM-L6-v2/libonnxruntime.so"))
}
