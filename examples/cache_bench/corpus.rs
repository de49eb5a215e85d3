//! Real questions, and vectors that lie as those of real questions do.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde_json::Value;

/// Files with questions, and the fields that hold them.
const FILES: [(&str, &[&str]); 3] = [
    ("gptcache_qqp/qqp_pairs.jsonl.gz", &["q1", "q2"]),
    ("banking77/banking77.jsonl.gz", &["text"]),
    ("clinc150/clinc150.jsonl.gz", &["text"]),
];

/// Questions, each once, in an order that is always the same and has nothing to do with their files'.
pub(crate) struct Corpus {
    texts: Vec<String>,
}

impl Corpus {
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let mut seen = HashSet::new();
        let mut texts = Vec::new();
        for (name, fields) in FILES {
            let file = File::open(folder.join(name))?;
            for line in BufReader::new(GzDecoder::new(file)).lines() {
                let row: Value = serde_json::from_str(&line?)?;
                for text in fields.iter().filter_map(|field| row[*field].as_str()) {
                    if seen.insert(text.to_owned()) {
                        texts.push(text.to_owned());
                    }
                }
            }
        }
        fastrand::Rng::with_seed(7).shuffle(&mut texts);
        Ok(Self { texts })
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The first so many questions.
    pub(crate) fn some(&self, count: usize) -> &[String] {
        &self.texts[..count.min(self.texts.len())]
    }

    /// A prompt of exactly `words` words that no other number has, made of questions in a row.
    pub(crate) fn prompt(&self, number: usize, words: usize) -> String {
        let from = number % self.texts.len();
        let row = self.texts.iter().cycle().skip(from);
        let words: Vec<&str> = row
            .flat_map(|text| text.split_whitespace())
            .take(words)
            .collect();
        words.join(" ")
    }
}

/// As many vectors as are asked for, each near one of a real question: its own direction and noise beside it, with a
/// cosine to it of 0.74 to 0.96. The same number always gives the same vector.
pub(crate) struct Cloud {
    real: Vec<Arc<[f32]>>,
}

impl Cloud {
    pub(crate) fn around(real: Vec<Arc<[f32]>>) -> Self {
        Self { real }
    }

    pub(crate) fn vector(&self, number: usize) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(number as u64);
        let radius = 0.3 + 0.6 * rng.f32();
        noisy(&self.real[number % self.real.len()], radius, &mut rng)
    }

    /// A vector to search for: one that is held, moved a little (its cosine to that one is 0.95).
    pub(crate) fn near(&self, number: usize) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(!(number as u64));
        noisy(&self.vector(number), 0.33, &mut rng)
    }
}

/// `from` with noise of length `radius` in a random direction, made of length 1.
fn noisy(from: &[f32], radius: f32, rng: &mut fastrand::Rng) -> Vec<f32> {
    let noise: Vec<f32> = from.iter().map(|_| rng.f32() - 0.5).collect();
    let scale = radius / length(&noise);
    let mut vector: Vec<f32> = from.iter().zip(noise).map(|(x, n)| x + scale * n).collect();
    let length = length(&vector);
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

fn length(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}

/// Eight sums side by side, since one sum in order could not be spread over vector lanes.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum()
}
