//! OpenAI embeddings: unit vectors decided by the text, near each other when texts share words.

use serde_json::{Value, json};

use crate::sim::text;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim::server) enum Encoding {
    /// A list of numbers.
    Float,
    /// Little-endian 32-bit floats in base64, as OpenAI's own clients ask for.
    Base64,
}

/// The answer to an embeddings request.
pub(in crate::sim::server) fn embedding_list(
    model: &str,
    inputs: &[String],
    dimensions: usize,
    encoding: Encoding,
    tokens: u32,
) -> Value {
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = unit_vector(input, dimensions);
            let embedding = match encoding {
                Encoding::Float => json!(vector),
                Encoding::Base64 => {
                    json!(base64(
                        &vector
                            .iter()
                            .flat_map(|value| value.to_le_bytes())
                            .collect::<Vec<u8>>()
                    ))
                }
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    json!({"object": "list", "data": data, "model": model, "usage": usage})
}

/// The normalised sum of a random direction for each word and a weak one for the text as a whole.
fn unit_vector(input: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dimensions];
    let mut add = |seed: u64, weight: f32| {
        let mut rng = fastrand::Rng::with_seed(seed);
        sum.iter_mut()
            .for_each(|value| *value += weight * (rng.f32() - 0.5));
    };
    add(text::hash(1, input.as_bytes()), 0.2);
    for word in input.split_whitespace() {
        add(text::hash(2, word.to_lowercase().as_bytes()), 1.0);
    }
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    sum.iter_mut().for_each(|value| *value /= norm);
    sum
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let pad = digit > group.len();
            text.push(if pad {
                '='
            } else {
                char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        unit_vector(a, 256)
            .iter()
            .zip(unit_vector(b, 256))
            .map(|(x, y)| x * y)
            .sum()
    }

    #[test]
    fn vectors_have_length_one_and_texts_that_share_words_are_near() {
        assert!((cosine("reset my password", "reset my password") - 1.0).abs() < 1e-5);
        assert!(cosine("reset my password", "reset your password") > 0.5);
        assert!(cosine("reset my password", "weather in lisbon") < 0.3);
        assert!((cosine("", "") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn base64_agrees_with_the_vectors_of_rfc_4648() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
