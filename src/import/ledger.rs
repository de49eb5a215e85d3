//! What became of each directive.

use super::reasons;
use super::tree::Dir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Carried,
    LeftOut,
}

/// The fate of every directive, by its number.
pub(super) struct Ledger {
    fates: Vec<Fate>,
}

impl Ledger {
    pub(super) fn new(directives: usize) -> Self {
        Self {
            fates: vec![Fate::Open; directives],
        }
    }

    /// `dir` is in the output now.
    pub(super) fn carry(&mut self, dir: &Dir) {
        if self.fates[dir.id] == Fate::Open {
            self.fates[dir.id] = Fate::Carried;
        }
    }

    pub(super) fn is_open(&self, dir: &Dir) -> bool {
        self.fates[dir.id] == Fate::Open
    }

    pub(super) fn left_out(&self) -> usize {
        self.fates
            .iter()
            .filter(|fate| **fate == Fate::LeftOut)
            .count()
    }

    /// The comments for `dir` and all inside it, none of which is carried over.
    pub(super) fn leave(&mut self, dir: &Dir, reason: &str) -> Vec<String> {
        self.leave_but(dir, reason, None)
    }

    /// The same for a location, without its inner locations: they have fates of their own.
    pub(super) fn leave_location(&mut self, dir: &Dir, reason: &str) -> Vec<String> {
        self.leave_but(dir, reason, Some("location"))
    }

    fn leave_but(&mut self, dir: &Dir, reason: &str, but: Option<&str>) -> Vec<String> {
        let end = if dir.block.is_some() { " { ... }" } else { "" };
        let mut lines = vec![format!("{}: {}{end}  ({reason})", dir.place, dir.source)];
        self.inside(dir, but, 1, &mut lines);
        lines
    }

    fn inside(&mut self, dir: &Dir, but: Option<&str>, depth: usize, lines: &mut Vec<String>) {
        self.fates[dir.id] = Fate::LeftOut;
        for inner in dir
            .inside()
            .iter()
            .filter(|inner| but != Some(inner.name.as_str()))
        {
            let indent = "  ".repeat(depth);
            lines.push(format!("{indent}{}: {}", inner.place, inner.source));
            self.inside(inner, but, depth + 1, lines);
        }
    }

    /// The comments for what is still open among `dirs`, and inside those of them that are carried.
    pub(super) fn rest(&mut self, dirs: &[Dir]) -> Vec<String> {
        let mut lines = Vec::new();
        for dir in dirs {
            match (self.fates[dir.id], dir.name.as_str()) {
                (Fate::Open, "include") if dir.trouble.is_none() => {
                    self.carry(dir);
                    lines.extend(self.rest(dir.inside()));
                }
                (Fate::Open, _) => {
                    let reason = dir.trouble.as_deref().unwrap_or(reasons::of(&dir.name));
                    lines.extend(self.leave(dir, reason));
                }
                (Fate::Carried, _) => lines.extend(self.rest(dir.inside())),
                (Fate::LeftOut, _) => {}
            }
        }
        lines
    }
}
