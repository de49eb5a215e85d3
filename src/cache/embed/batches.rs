//! Whether texts may go through a model together: tried, not believed.

use super::{Model, ModelFacts};

/// Largest difference of a component that rounding explains. Dynamic quantisation makes differences a hundred times as
/// large.
const ROUNDING: f32 = 1e-4;

/// Texts of several lengths and kinds, so that ranges of activations differ.
pub(super) const TEXTS: [&str; 4] = [
    "ready?",
    "How do I reset my password?",
    "0x7F 3,141.59 + 2^10 = ?! ¿Qué? 質問",
    "The quick brown fox jumps over the lazy dog, then asks the dog why it lies there all day long, whether it ever \
     means to get up, and what it would take to make it run at least once around the whole of the old barn.",
];

/// Runs a model for the first time and says what it is like.
///
/// # Errors
/// What is wrong with it or with its vectors.
pub(super) fn tried(model: &mut dyn Model, id: [u8; 32]) -> Result<ModelFacts, String> {
    let mut alone = Vec::with_capacity(TEXTS.len());
    for text in TEXTS {
        let mut vectors = model.embed(&[text])?;
        match (vectors.pop(), vectors.is_empty()) {
            (Some(vector), true) if !vector.is_empty() => alone.push(vector),
            _ => return Err("the model gave no vector".into()),
        }
    }
    let dimensions = alone.first().map_or(0, Vec::len);
    if alone.iter().any(|vector| vector.len() != dimensions) {
        return Err("the model gave vectors of different lengths".into());
    }
    // A model exported for one text at a time refuses two: it has no batches then.
    let together = model.embed(&TEXTS).unwrap_or_default();
    Ok(ModelFacts {
        id,
        dimensions,
        batches: same(&alone, &together),
    })
}

fn same(alone: &[Vec<f32>], together: &[Vec<f32>]) -> bool {
    let near = |a: &Vec<f32>, b: &Vec<f32>| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < ROUNDING)
    };
    alone.len() == together.len() && alone.iter().zip(together).all(|(a, b)| near(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake<F>(F);

    impl<F: FnMut(&[&str]) -> Result<Vec<Vec<f32>>, String>> Model for Fake<F> {
        fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
            (self.0)(texts)
        }
    }

    fn facts(
        model: impl FnMut(&[&str]) -> Result<Vec<Vec<f32>>, String>,
    ) -> Result<ModelFacts, String> {
        tried(&mut Fake(model), [7; 32])
    }

    #[test]
    fn a_model_that_gives_a_text_the_same_vector_in_company_takes_batches() {
        let own = |text: &&str| vec![1.0, text.len() as f32 / 1000.0];
        let facts = facts(|texts| Ok(texts.iter().map(own).collect())).unwrap();
        assert_eq!(
            facts,
            ModelFacts {
                id: [7; 32],
                dimensions: 2,
                batches: true
            }
        );
    }

    #[test]
    fn a_model_whose_vectors_depend_on_their_company_does_not() {
        let shared = |texts: &[&str]| {
            let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0) as f32;
            Ok(vec![vec![1.0, longest / 1000.0]; texts.len()])
        };
        assert!(!facts(shared).unwrap().batches);
    }

    #[test]
    fn a_model_that_refuses_company_or_loses_a_text_in_it_does_not() {
        let one_only = |texts: &[&str]| match texts {
            [_] => Ok(vec![vec![1.0]]),
            _ => Err("one at a time".to_owned()),
        };
        assert!(!facts(one_only).unwrap().batches);
        let one_answer = |_: &[&str]| Ok(vec![vec![1.0]]);
        assert!(!facts(one_answer).unwrap().batches);
    }

    #[test]
    fn a_model_without_vectors_or_with_some_of_another_length_is_refused() {
        assert!(facts(|_| Ok(vec![])).is_err());
        assert!(facts(|_| Ok(vec![vec![]])).is_err());
        assert!(facts(|_| Err("no".into())).is_err());
        let ragged = |texts: &[&str]| Ok(texts.iter().map(|text| vec![0.5; text.len()]).collect());
        assert!(facts(ragged).unwrap_err().contains("lengths"));
    }
}
