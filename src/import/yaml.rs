//! YAML with comments, in block style.

use std::fmt::Write;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Yaml {
    /// Quoted where YAML would read something else.
    Text(String),
    List(Vec<Item>),
    Map(Map),
}

/// An item of a list, below its comments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) comments: Vec<String>,
    pub(super) value: Yaml,
}

/// Keys in the order of writing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Map {
    entries: Vec<(Vec<String>, String, Yaml)>,
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Map> for Yaml {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<Vec<Item>> for Yaml {
    fn from(items: Vec<Item>) -> Self {
        Self::List(items)
    }
}

impl From<Yaml> for Item {
    fn from(value: Yaml) -> Self {
        Self {
            comments: Vec::new(),
            value,
        }
    }
}

/// A list without comments.
pub(super) fn list(values: impl IntoIterator<Item = impl Into<Yaml>>) -> Yaml {
    let item = |value: Yaml| Item::from(value);
    Yaml::List(values.into_iter().map(|value| item(value.into())).collect())
}

impl Map {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn put(&mut self, key: &str, value: impl Into<Yaml>) -> &mut Self {
        self.put_with(Vec::new(), key, value)
    }

    /// Below these comments.
    pub(super) fn put_with(
        &mut self,
        comments: Vec<String>,
        key: &str,
        value: impl Into<Yaml>,
    ) -> &mut Self {
        self.entries.push((comments, key.to_owned(), value.into()));
        self
    }

    /// Puts what there is, and nothing when it is empty.
    pub(super) fn put_map(&mut self, key: &str, map: Map) -> &mut Self {
        if !map.is_empty() {
            self.put(key, map);
        }
        self
    }

    /// Both, one after the other.
    pub(super) fn and(mut self, other: Map) -> Self {
        self.entries.extend(other.entries);
        self
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(_, known, _)| known == key)
    }

    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0, false);
        out
    }

    /// `inline`: the first key follows a dash.
    fn write(&self, out: &mut String, indent: usize, mut inline: bool) {
        for (comments, key, value) in &self.entries {
            if !inline {
                comment(out, comments, indent);
                pad(out, indent);
            }
            inline = false;
            out.push_str(&quoted(key));
            out.push(':');
            value.write(out, indent);
        }
    }
}

impl Yaml {
    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Text(text) => {
                let _ = writeln!(out, " {}", quoted(text));
            }
            Self::List(items) if items.is_empty() => out.push_str(" []\n"),
            Self::Map(map) if map.is_empty() => out.push_str(" {}\n"),
            Self::List(items) if items.iter().all(Item::is_plain) => {
                let texts: Vec<String> = items
                    .iter()
                    .filter_map(|item| match &item.value {
                        Self::Text(text) => Some(quoted(text)),
                        _ => None,
                    })
                    .collect();
                let _ = writeln!(out, " [{}]", texts.join(", "));
            }
            Self::List(items) => {
                out.push('\n');
                for item in items {
                    comment(out, &item.comments, indent + 2);
                    pad(out, indent + 2);
                    out.push('-');
                    match &item.value {
                        Self::Map(map) if !map.is_empty() => {
                            if let Some((comments, ..)) = map.entries.first()
                                && !comments.is_empty()
                            {
                                out.push('\n');
                                map.write(out, indent + 4, false);
                            } else {
                                out.push(' ');
                                map.write(out, indent + 4, true);
                            }
                        }
                        other => other.write(out, indent + 4),
                    }
                }
            }
            Self::Map(map) => {
                out.push('\n');
                map.write(out, indent + 2, false);
            }
        }
    }
}

impl Item {
    fn is_plain(&self) -> bool {
        self.comments.is_empty() && matches!(self.value, Yaml::Text(_))
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn comment(out: &mut String, lines: &[String], indent: usize) {
    for line in lines {
        pad(out, indent);
        let _ = writeln!(out, "# {line}");
    }
}

/// Plain where that cannot be misread, in quotes else. `${` is doubled: the configuration would take it for a variable.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-+:=@%".contains(c))
        && !text.contains(": ")
        && !text.ends_with(':')
        && !is_misread(text);
    if plain {
        return text.to_owned();
    }
    let json = serde_json::Value::String(text.replace("${", "$${"));
    json.to_string()
}

/// Words and numbers with a colon or an underscore that YAML takes for something else than text.
fn is_misread(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "yes" | "no" | "true" | "false" | "y" | "n"
    ) || (text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || c == ':'))
        || text.starts_with("0x")
        || text.starts_with("0o")
}
