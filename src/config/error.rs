//! Every mistake of a configuration file at once, each as `path: value: reason (hint)`.

use std::fmt;

/// One mistake: where, what was written, why it cannot be used and, where it helps, what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) path: String,
    pub(super) value: Option<String>,
    pub(super) reason: String,
    pub(super) hint: Option<String>,
    pub(super) line: Option<usize>,
}

impl ConfigError {
    /// Where it is, such as `pools.chat.peers[1].weight`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was written there, shortened; `None` when nothing was.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Why it cannot be used.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What to write instead.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Line in the file, from 1; of something that is missing, the line of what lacks it.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        if let Some(value) = &self.value {
            write!(f, "{value}: ")?;
        }
        f.write_str(&self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Every mistake of one file, in file order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    pub(super) errors: Vec<ConfigError>,
    pub(super) more: usize,
}

impl ConfigErrors {
    /// The mistakes, in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// Mistakes that were counted but not kept, because the file has very many.
    pub fn left_off(&self) -> usize {
        self.more
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One mistake a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.errors.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
