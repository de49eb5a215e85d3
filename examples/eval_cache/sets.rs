//! Sets of questions and the answers they deserve.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A set, in the order in which it is asked.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) questions: Vec<Question>,
    /// Questions that belong together and stay together, as lengths.
    groups: Vec<usize>,
    /// Whether the order of the groups is left as it is.
    fixed: bool,
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// The answer it deserves.
    pub(crate) class: String,
    /// The system prompt: only questions under one can answer each other.
    pub(crate) system: String,
    /// Whether what becomes of it counts, or it is asked only to be stored.
    pub(crate) counts: bool,
}

/// The prompt under which all questions of one store are asked.
const SHARED: &str = "Answer with the topic of the question.";

/// Fields that may hold a question's class.
const CLASSES: [&str; 4] = ["class", "category", "intent", "label"];

/// Loads a set by its name or file.
pub(crate) fn load(name: &str, data: &Path) -> Result<Set, String> {
    let (path, questions) = match name {
        "quora-pairs" => ("gptcache_qqp/qqp_pairs", false),
        "quora-questions" => ("gptcache_qqp/qqp_pairs", true),
        "mock-pairs" => ("gptcache_qqp/gptcache_mock_pairs", false),
        "banking77" => ("banking77/banking77", false),
        "clinc150" => ("clinc150/clinc150", false),
        other => match other.strip_suffix(":questions") {
            Some(path) => (path, true),
            None => (other, false),
        },
    };
    let rows = rows(&find(data, path)?)?;
    let first = rows.first().ok_or("the file is empty")?;
    let set = if first.get("q1").is_some() {
        if questions {
            one_store(&rows)?
        } else {
            pairs(&rows)?
        }
    } else if first.get("origin").is_some() {
        origins(&rows)?
    } else {
        classes(&rows)?
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name
        .trim_end_matches(".gz")
        .trim_end_matches(".jsonl")
        .replace(':', "-");
    Ok(Set { name, ..set })
}

impl Set {
    /// In an order that the seed decides, and at most `limit` groups; 0 = all.
    pub(crate) fn shuffled(self, seed: u64, limit: usize) -> Self {
        let mut questions = self.questions.into_iter();
        let mut groups: Vec<Vec<Question>> = self
            .groups
            .iter()
            .map(|&length| questions.by_ref().take(length).collect())
            .collect();
        if !self.fixed {
            fastrand::Rng::with_seed(seed).shuffle(&mut groups);
        }
        if limit > 0 {
            groups.truncate(limit);
        }
        if self.fixed {
            // All that is stored comes before all that is asked.
            let (stored, asked): (Vec<_>, Vec<_>) = groups
                .concat()
                .into_iter()
                .partition(|question| !question.counts);
            groups = vec![stored, asked];
        }
        Self {
            name: self.name,
            groups: groups.iter().map(Vec::len).collect(),
            questions: groups.concat(),
            fixed: self.fixed,
        }
    }

    /// Questions that count.
    pub(crate) fn counted(&self) -> usize {
        self.questions
            .iter()
            .filter(|question| question.counts)
            .count()
    }
}

/// The first file that is there: as named, or with `.jsonl` and `.gz`, under the data or anywhere.
fn find(data: &Path, name: &str) -> Result<PathBuf, String> {
    let folder = |name: &str| format!("{name}/{name}");
    let tries = [
        data.join(name),
        PathBuf::from(name),
        data.join(folder(name)),
    ];
    for path in &tries {
        for end in ["", ".jsonl", ".jsonl.gz"] {
            let path = PathBuf::from(format!("{}{end}", path.display()));
            if path.is_file() {
                return Ok(path);
            }
        }
    }
    Err(format!(
        "the data are absent: no {}.jsonl or .jsonl.gz",
        data.join(name).display()
    ))
}

fn rows(path: &Path) -> Result<Vec<Value>, String> {
    let file = File::open(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let plain: Box<dyn Read> = if path.extension().is_some_and(|end| end == "gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let line = |line: io::Result<String>| serde_json::from_str(&line?).map_err(io::Error::other);
    let rows: io::Result<Vec<Value>> = BufReader::new(plain).lines().map(line).collect();
    rows.map_err(|why| format!("{}: {why}", path.display()))
}

fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str, String> {
    row.get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("a line has no text in {field:?}: {row}"))
}

fn ask(text: &str, class: &str, system: &str, counts: bool) -> Question {
    Question {
        text: text.to_owned(),
        class: class.to_owned(),
        system: system.to_owned(),
        counts,
    }
}

/// Each pair under a prompt of its own: the first question is stored, the second counts.
fn pairs(rows: &[Value]) -> Result<Set, String> {
    let mut questions = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let (system, answer) = (format!("{SHARED} Set {number}."), format!("topic {number}"));
        let same = row.get("is_duplicate").and_then(Value::as_u64) == Some(1);
        let other = if same {
            answer.clone()
        } else {
            format!("another topic {number}")
        };
        questions.push(ask(text(row, "q1")?, &answer, &system, false));
        questions.push(ask(text(row, "q2")?, &other, &system, true));
    }
    Ok(Set {
        name: String::new(),
        groups: vec![2; rows.len()],
        questions,
        fixed: false,
    })
}

/// All questions of the pairs in one store, each text once, with its cluster as its class.
fn one_store(rows: &[Value]) -> Result<Set, String> {
    let mut seen = HashMap::new();
    let mut questions = Vec::new();
    for row in rows {
        for (question, class) in [("q1", "c1"), ("q2", "c2")] {
            let (question, class) = (text(row, question)?, text(row, class)?);
            if seen.insert(question, class).is_none() {
                questions.push(ask(question, class, SHARED, true));
            }
        }
    }
    Ok(Set {
        name: String::new(),
        groups: vec![1; questions.len()],
        questions,
        fixed: false,
    })
}

/// All first texts are stored, then each second one is asked; it deserves the answer of its own first one.
fn origins(rows: &[Value]) -> Result<Set, String> {
    let mut questions = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let class = format!("topic {number}");
        questions.push(ask(text(row, "origin")?, &class, SHARED, false));
        questions.push(ask(text(row, "similar")?, &class, SHARED, true));
    }
    Ok(Set {
        name: String::new(),
        groups: vec![2; rows.len()],
        questions,
        fixed: true,
    })
}

/// All questions in one store.
fn classes(rows: &[Value]) -> Result<Set, String> {
    let mut questions = Vec::new();
    for row in rows {
        let class = CLASSES
            .iter()
            .find_map(|field| row.get(field).and_then(Value::as_str));
        let class = class.ok_or_else(|| format!("a line has none of {CLASSES:?}: {row}"))?;
        questions.push(ask(text(row, "text")?, class, SHARED, true));
    }
    Ok(Set {
        name: String::new(),
        groups: vec![1; questions.len()],
        questions,
        fixed: false,
    })
}
