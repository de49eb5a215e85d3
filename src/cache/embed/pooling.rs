//! The vectors of a text's tokens made one, of length 1.

use crate::config::model::Pooling;

/// What a model gave for some texts: a vector for each token of each text, or for each text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<'a> {
    /// Texts, tokens (where there are vectors of tokens), components.
    pub(super) shape: &'a [i64],
    /// Row by row.
    pub(super) data: &'a [f32],
}

/// One vector for each text. `mask` has a 1 for each token that is no padding.
///
/// # Errors
/// What does not fit, or that a vector has no direction.
pub(super) fn pooled(
    output: Output<'_>,
    mask: &[i64],
    pooling: Pooling,
) -> Result<Vec<Vec<f32>>, String> {
    let sizes: Vec<usize> = output
        .shape
        .iter()
        .map(|size| usize::try_from(*size).unwrap_or(0))
        .collect();
    let (texts, tokens, components) = match sizes[..] {
        [texts, components] => (texts, 1, components),
        [texts, tokens, components] => (texts, tokens, components),
        _ => {
            return Err(format!(
                "the model gave a tensor of shape {:?}",
                output.shape
            ));
        }
    };
    let of_text = tokens * components;
    if of_text == 0 || texts.checked_mul(of_text) != Some(output.data.len()) {
        return Err(format!(
            "the model gave a tensor of shape {:?}",
            output.shape
        ));
    }
    let of_tokens = sizes.len() == 3;
    if of_tokens && mask.len() != texts * tokens {
        return Err("the model gave other tokens than it was given".into());
    }
    let rows = output.data.chunks_exact(of_text).enumerate();
    rows.map(|(text, row)| {
        let whole = if of_tokens {
            let mask = mask.get(text * tokens..(text + 1) * tokens);
            token_vectors(row, components, mask.unwrap_or_default(), pooling)
        } else {
            row.to_vec()
        };
        unit(whole)
    })
    .collect()
}

fn token_vectors(row: &[f32], components: usize, mask: &[i64], pooling: Pooling) -> Vec<f32> {
    let mut real = row
        .chunks_exact(components)
        .zip(mask)
        .filter(|(_, mask)| **mask != 0)
        .map(|(token, _)| token);
    match pooling {
        Pooling::Cls => real.next().unwrap_or_default().to_vec(),
        Pooling::LastToken => real.next_back().unwrap_or_default().to_vec(),
        Pooling::Mean => {
            // The sum points where the mean does, and only the direction counts.
            let mut sum = vec![0.0; components];
            for token in real {
                sum.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
            }
            sum
        }
    }
}

fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, String> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_normal() {
        return Err("the model gave a vector without direction".into());
    }
    vector.iter_mut().for_each(|x| *x /= length);
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two texts of three tokens with two components; the second text has one token of padding.
    const DATA: [f32; 12] = [
        3.0, 4.0, 0.0, 4.0, 3.0, 4.0, //
        0.0, 2.0, 2.0, 0.0, 9.0, 9.0,
    ];
    const MASK: [i64; 6] = [1, 1, 1, 1, 1, 0];

    fn pool(pooling: Pooling) -> Vec<Vec<f32>> {
        let shape = [2, 3, 2];
        let output = Output {
            shape: &shape,
            data: &DATA,
        };
        pooled(output, &MASK, pooling).unwrap()
    }

    fn near(vectors: &[Vec<f32>], wanted: [[f32; 2]; 2]) {
        for (vector, wanted) in vectors.iter().zip(wanted) {
            for (x, wanted) in vector.iter().zip(wanted) {
                assert!((x - wanted).abs() < 1e-6, "{vectors:?}");
            }
        }
    }

    #[test]
    fn each_pooling_takes_its_tokens_and_never_the_padding() {
        let diagonal = 0.5_f32.sqrt();
        near(&pool(Pooling::Cls), [[0.6, 0.8], [0.0, 1.0]]);
        near(&pool(Pooling::LastToken), [[0.6, 0.8], [1.0, 0.0]]);
        near(
            &pool(Pooling::Mean),
            [
                [6.0 / 180_f32.sqrt(), 12.0 / 180_f32.sqrt()],
                [diagonal, diagonal],
            ],
        );
    }

    #[test]
    fn vectors_of_whole_texts_are_only_made_of_length_one() {
        let output = Output {
            shape: &[2, 2],
            data: &[3.0, 4.0, 0.0, 5.0],
        };
        near(
            &pooled(output, &[], Pooling::Cls).unwrap(),
            [[0.6, 0.8], [0.0, 1.0]],
        );
    }

    #[test]
    fn what_has_no_direction_or_does_not_fit_is_an_error() {
        let wrong: [(&[i64], &[f32], &[i64]); 7] = [
            (&[1, 2], &[0.0, 0.0], &[]),
            (&[1, 2], &[f32::NAN, 1.0], &[]),
            (&[1, 2], &[f32::INFINITY, 1.0], &[]),
            (&[1, 2], &[1.0], &[]),
            (&[1, -1], &[1.0], &[]),
            (&[1, 2, 1], &[1.0, 1.0], &[1]),
            (&[1, 1, 1], &[1.0], &[0]),
        ];
        for (shape, data, mask) in wrong {
            let output = Output { shape, data };
            let result = pooled(output, mask, Pooling::Mean);
            assert!(result.is_err(), "{shape:?} {data:?} {mask:?}");
        }
    }
}
