//! Where something stands in the file: `pools.chat.peers[1].weight`.

use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the top of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct At(Vec<Step>);

impl At {
    pub(super) fn top() -> Self {
        Self::default()
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl FromIterator<Step> for At {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(top)");
        }
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if n > 0 {
                        f.write_str(".")?;
                    }
                    match plain(key) {
                        true => f.write_str(key)?,
                        false => write!(f, "{key:?}")?,
                    }
                }
            }
        }
        Ok(())
    }
}

fn plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_people_point_at_it() {
        let at = At::top()
            .key("pools")
            .key("chat")
            .key("peers")
            .index(1)
            .key("weight");
        assert_eq!(at.to_string(), "pools.chat.peers[1].weight");
        assert_eq!(At::top().to_string(), "(top)");
    }

    #[test]
    fn a_key_that_would_be_misread_is_quoted() {
        assert_eq!(
            At::top().key("pools").key("qwen2.5").key("a b").to_string(),
            r#"pools."qwen2.5"."a b""#
        );
    }
}
