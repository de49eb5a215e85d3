//! An nginx file as a tree of directives, included files in place.

use std::fs;
use std::path::{Path, PathBuf};

use nginx_lint_parser::ast::{Argument, ArgumentValue, ConfigItem, Directive};
use nginx_lint_parser::parse_string;

/// Files included in files, at most; nginx itself only stops at its open files.
const DEEPEST: usize = 20;
/// Most directives in all.
const MOST: usize = 100_000;

/// A file with all it includes.
pub(super) struct Tree {
    pub(super) top: Vec<Dir>,
    pub(super) count: usize,
}

/// One directive.
#[derive(Debug)]
pub(super) struct Dir {
    /// Its number, in the order of reading.
    pub(super) id: usize,
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) block: Option<Vec<Dir>>,
    /// Where it stands, as `file:line`.
    pub(super) place: String,
    /// As it is written, in one line, without its block.
    pub(super) source: String,
    /// Why an `include` brought nothing.
    pub(super) trouble: Option<String>,
}

impl Dir {
    pub(super) fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub(super) fn inside(&self) -> &[Dir] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The directives of this name in its block, included ones too.
    pub(super) fn all<'a>(&'a self, name: &str) -> Vec<&'a Dir> {
        named(self.inside(), name)
    }
}

/// The directives of this name among `dirs`, included ones too.
pub(super) fn named<'a>(dirs: &'a [Dir], name: &str) -> Vec<&'a Dir> {
    let mut found = Vec::new();
    for dir in dirs {
        match dir.name.as_str() {
            "include" => found.extend(named(dir.inside(), name)),
            other if other == name => found.push(dir),
            _ => {}
        }
    }
    found
}

pub(super) fn read(path: &Path) -> Result<Tree, String> {
    let mut reader = Reader {
        folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        count: 0,
        open: Vec::new(),
    };
    let top = reader.file(path)?;
    Ok(Tree {
        top,
        count: reader.count,
    })
}

struct Reader {
    /// What relative includes start from: the folder of the first file, as with nginx.
    folder: PathBuf,
    count: usize,
    open: Vec<PathBuf>,
}

impl Reader {
    fn file(&mut self, path: &Path) -> Result<Vec<Dir>, String> {
        let shown = path.display();
        if self.open.len() >= DEEPEST || self.open.iter().any(|open| open == path) {
            return Err(format!("{shown}: is included by itself"));
        }
        let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let parsed = parse_string(&text).map_err(|error| format!("{shown}: {error}"))?;
        self.open.push(path.to_owned());
        let dirs = self.items(&parsed.items, path);
        self.open.pop();
        dirs
    }

    fn items(&mut self, items: &[ConfigItem], path: &Path) -> Result<Vec<Dir>, String> {
        let mut dirs = Vec::new();
        for item in items {
            if let ConfigItem::Directive(directive) = item {
                dirs.push(self.directive(directive, path)?);
            }
        }
        Ok(dirs)
    }

    fn directive(&mut self, directive: &Directive, path: &Path) -> Result<Dir, String> {
        let place = format!("{}:{}", path.display(), directive.span.start.line);
        let id = self.count;
        self.count += 1;
        if self.count > MOST {
            return Err(format!("{place}: there are more than {MOST} directives"));
        }
        let mut args: Vec<String> = Vec::new();
        let mut source = directive.name.clone();
        let mut end = None;
        for arg in &directive.args {
            // The parser takes `/a/$1` apart; what touches belongs together.
            match args
                .last_mut()
                .filter(|_| end == Some(arg.span.start.offset))
            {
                Some(last) => last.push_str(&value(arg)),
                None => {
                    source.push(' ');
                    args.push(value(arg));
                }
            }
            source.push_str(&arg.raw);
            end = Some(arg.span.end.offset);
        }
        if source.contains(char::is_control) {
            source = source.replace(char::is_control, " ");
        }
        let mut block = match &directive.block {
            Some(block) => Some(self.items(&block.items, path)?),
            None => None,
        };
        if let Some(raw) = directive
            .block
            .as_ref()
            .and_then(|block| block.raw_content.as_ref())
        {
            let lines: Vec<&str> = raw.split_whitespace().collect();
            source = format!("{source} {{ {} }}", lines.join(" "));
        }
        source.push_str(if block.is_some() { "" } else { ";" });
        let mut trouble = None;
        if directive.name == "include" {
            match self.included(args.first().map_or("", String::as_str)) {
                Ok(dirs) => block = Some(dirs),
                Err(error) => trouble = Some(error),
            }
        }
        Ok(Dir {
            id,
            name: directive.name.clone(),
            args,
            block,
            place,
            source,
            trouble,
        })
    }

    fn included(&mut self, pattern: &str) -> Result<Vec<Dir>, String> {
        let pattern = self.folder.join(pattern);
        let pattern = pattern.to_str().ok_or("is not UTF-8")?;
        if !pattern.contains(['*', '?', '[']) {
            return self.file(Path::new(pattern));
        }
        let mut dirs = Vec::new();
        for path in glob::glob(pattern).map_err(|error| error.to_string())? {
            dirs.extend(self.file(&path.map_err(|error| error.to_string())?)?);
        }
        Ok(dirs)
    }
}

fn value(arg: &Argument) -> String {
    match &arg.value {
        ArgumentValue::Variable(_) => arg.raw.clone(),
        _ => arg.as_str().to_owned(),
    }
}
