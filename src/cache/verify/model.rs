//! How likely an answer is right, from the features of its case: logistic regression with a ridge.

use super::features::FEATURES;

/// Weights: one for each feature and the intercept.
const WEIGHTS: usize = FEATURES + 1;

/// Pull of each weight towards zero, on features of unit spread.
const RIDGE: f64 = 1.0;

/// Pull of the intercept: only so much that the fit exists where all labels agree.
const RIDGE_INTERCEPT: f64 = 1e-3;

/// Newton steps at most.
const STEPS: usize = 15;

/// Largest change of a weight at which the fit is done.
const DONE: f64 = 1e-4;

type Row = [f64; WEIGHTS];

/// A fitted model. Its scores order cases; the share that is right at a score is counted, not believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    means: [f64; FEATURES],
    spreads: [f64; FEATURES],
    weights: Row,
}

impl Model {
    /// Fits a model to cases and whether their answers were right.
    #[must_use]
    pub fn fit(labels: &[([f32; FEATURES], bool)]) -> Self {
        let (means, spreads) = shape(labels);
        let mut model = Self {
            means,
            spreads,
            weights: [0.0; WEIGHTS],
        };
        let rows: Vec<(Row, f64)> = labels
            .iter()
            .map(|(features, right)| (model.row(features), f64::from(u8::from(*right))))
            .collect();
        for _ in 0..STEPS {
            let Some(step) = newton(&rows, &model.weights) else {
                break;
            };
            let mut largest: f64 = 0.0;
            for (weight, step) in model.weights.iter_mut().zip(step) {
                *weight += step;
                largest = largest.max(step.abs());
            }
            if largest < DONE {
                break;
            }
        }
        model
    }

    /// Rises with the chance that the answer is right.
    #[must_use]
    pub fn score(&self, features: &[f32; FEATURES]) -> f64 {
        dot(&self.row(features), &self.weights)
    }

    fn row(&self, features: &[f32; FEATURES]) -> Row {
        let mut row = [1.0; WEIGHTS];
        for (n, value) in features.iter().enumerate() {
            row[n + 1] = (f64::from(*value) - self.means[n]) / self.spreads[n];
        }
        row
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand labels")]
fn shape(labels: &[([f32; FEATURES], bool)]) -> ([f64; FEATURES], [f64; FEATURES]) {
    let count = labels.len().max(1) as f64;
    let (mut means, mut spreads) = ([0.0; FEATURES], [0.0; FEATURES]);
    for (features, _) in labels {
        for (mean, value) in means.iter_mut().zip(features) {
            *mean += f64::from(*value) / count;
        }
    }
    for (features, _) in labels {
        for ((spread, mean), value) in spreads.iter_mut().zip(means).zip(features) {
            *spread += (f64::from(*value) - mean).powi(2) / count;
        }
    }
    // A feature that never differs says nothing, whatever it is divided by.
    (means, spreads.map(|spread| spread.sqrt() + 1e-6))
}

/// The next step of the penalised fit; `None` where it has none.
fn newton(rows: &[(Row, f64)], weights: &Row) -> Option<Row> {
    let mut gradient = [0.0; WEIGHTS];
    let mut curve = [[0.0; WEIGHTS]; WEIGHTS];
    for (row, right) in rows {
        let p = 1.0 / (1.0 + (-dot(row, weights).clamp(-30.0, 30.0)).exp());
        let bend = p * (1.0 - p);
        for a in 0..WEIGHTS {
            gradient[a] += row[a] * (right - p);
            for b in 0..=a {
                curve[a][b] += bend * row[a] * row[b];
            }
        }
    }
    for a in 0..WEIGHTS {
        let ridge = if a == 0 { RIDGE_INTERCEPT } else { RIDGE };
        gradient[a] -= ridge * weights[a];
        curve[a][a] += ridge;
    }
    solve(curve, gradient)
}

/// Solves a symmetric positive system, of which the lower half is given, by Cholesky's way.
fn solve(mut a: [[f64; WEIGHTS]; WEIGHTS], mut b: Row) -> Option<Row> {
    for i in 0..WEIGHTS {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| a[i][k] * a[j][k]).sum::<f64>();
            if i == j {
                if !(sum > 0.0 && sum.is_finite()) {
                    return None;
                }
                a[i][i] = sum.sqrt();
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
    }
    for i in 0..WEIGHTS {
        b[i] = (b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>()) / a[i][i];
    }
    for i in (0..WEIGHTS).rev() {
        b[i] = (b[i] - (i + 1..WEIGHTS).map(|k| a[k][i] * b[k]).sum::<f64>()) / a[i][i];
    }
    Some(b)
}

fn dot(a: &Row, b: &Row) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(similarity: f32, share: f32) -> [f32; FEATURES] {
        [similarity, share, 0.5, similarity, 0.1, 0.0, 1.0, 1.0]
    }

    #[test]
    fn what_goes_with_right_answers_raises_the_score() {
        let mut rng = fastrand::Rng::with_seed(3);
        let labels: Vec<_> = (0..2000)
            .map(|_| {
                let (similarity, share) = (rng.f32(), rng.f32());
                (features(similarity, share), rng.f32() < similarity * share)
            })
            .collect();
        let model = Model::fit(&labels);
        assert!(model.score(&features(0.9, 0.9)) > model.score(&features(0.5, 0.9)));
        assert!(model.score(&features(0.9, 0.9)) > model.score(&features(0.9, 0.5)));
    }

    #[test]
    fn a_fit_to_anything_is_finite() {
        for labels in [
            vec![],
            vec![(features(0.9, 1.0), true)],
            vec![(features(0.9, 1.0), true); 500],
            vec![(features(0.9, 1.0), false), (features(0.8, 1.0), true)],
        ] {
            assert!(Model::fit(&labels).score(&features(0.7, 0.7)).is_finite());
        }
    }
}
