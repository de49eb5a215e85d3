//! A mean that forgets: early samples count fully, later ones with a fixed share.

/// Exponentially weighted mean of samples that need not weigh the same.
///
/// While little has been seen it is the plain weighted mean, so that a wrong start value is gone after a few
/// samples; afterwards each sample of weight 1 moves it by `rate` of the difference.
#[derive(Debug, Clone)]
pub struct Ewma {
    value: f64,
    seen: f64,
    rate: f64,
}

impl Ewma {
    /// A mean that reads `start` until the first sample. `start_weight` is how many samples of weight 1 the start
    /// value is worth; `rate`, in (0, 1], is the least share of a later sample.
    pub fn new(start: f64, start_weight: f64, rate: f64) -> Self {
        Self {
            value: start,
            seen: start_weight.max(0.0),
            rate: rate.clamp(f64::MIN_POSITIVE, 1.0),
        }
    }

    /// The mean as of now.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Takes in a sample. A weight outside (0, 1] is clamped to it; samples that are not finite are left out.
    pub fn add(&mut self, sample: f64, weight: f64) {
        if !sample.is_finite() || weight.is_nan() || weight <= 0.0 {
            return;
        }
        let weight = weight.min(1.0);
        self.seen += weight;
        let share = (weight / self.seen).max(self.rate * weight);
        self.value += share * (sample - self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_samples_make_a_plain_mean() {
        let mut mean = Ewma::new(100.0, 0.0, 0.01);
        for sample in [1.0, 2.0, 6.0] {
            mean.add(sample, 1.0);
        }
        assert!((mean.value() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn later_samples_move_it_by_the_rate() {
        let mut mean = Ewma::new(0.0, 1000.0, 0.1);
        mean.add(10.0, 1.0);
        assert!((mean.value() - 1.0).abs() < 1e-9);
        mean.add(1.0, 0.5);
        assert!((mean.value() - 1.0).abs() < 1e-9);
        mean.add(11.0, 0.5);
        assert!((mean.value() - 1.5).abs() < 1e-9);
    }

    #[test]
    fn nonsense_is_left_out() {
        let mut mean = Ewma::new(4.0, 1.0, 0.5);
        mean.add(f64::NAN, 1.0);
        mean.add(f64::INFINITY, 1.0);
        mean.add(9.0, 0.0);
        mean.add(9.0, f64::NAN);
        assert_eq!(mean.value(), 4.0);
    }
}
