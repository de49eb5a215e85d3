//! How wrong a share may be, given what was counted: the exact upper bound of Clopper and Pearson (Biometrika 26, 1934).

/// Steps of a continued fraction; it needs about the root of the larger count.
const STEPS: u32 = 500;

/// Width at which the search for a bound ends.
const FINE: f64 = 1e-6;

/// Largest share that `wrong` of `seen` still allow, at most `alpha` likely to be too small. Counts may be fractions, as
/// weighted ones are. 1 for no count at all.
#[must_use]
pub fn upper(wrong: f64, seen: f64, alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while high - low > FINE {
        let middle = f64::midpoint(low, high);
        if holds(wrong, seen, middle, alpha) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Whether that bound is at most `most`: were the share `most`, so few wrong ones would be at most `alpha` likely.
#[must_use]
pub fn holds(wrong: f64, seen: f64, most: f64, alpha: f64) -> bool {
    let right = seen - wrong;
    if right <= 0.0 || most <= 0.0 {
        return most >= 1.0;
    }
    most >= 1.0 || incomplete_beta(right, wrong + 1.0, 1.0 - most) <= alpha
}

/// Whether `wrong` of `seen` are too many for a share of `most`: so many would be at most `alpha` likely.
#[must_use]
pub fn exceeds(wrong: f64, seen: f64, most: f64, alpha: f64) -> bool {
    wrong > 0.0 && incomplete_beta(wrong, seen - wrong + 1.0, most) <= alpha
}

/// Fewest labels, none of them wrong, with which the bound holds.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits"
)]
pub fn fewest(most: f64, alpha: f64) -> usize {
    let count = alpha.ln() / (1.0 - most).ln();
    count.ceil().clamp(1.0, 1e9) as usize
}

/// Regularised incomplete beta function: Lentz's continued fraction (Abramowitz and Stegun, 26.5.8).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front =
        (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let tiny = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / tiny(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..STEPS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / tiny(1.0 + even * d);
        c = tiny(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / tiny(1.0 + odd * d);
        c = tiny(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-12 {
            break;
        }
    }
    value
}

/// Logarithm of the gamma function of a positive number: Lanczos with g = 7 and nine terms.
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection.
        let pi = std::f64::consts::PI;
        return (pi / (pi * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let mut at = x;
    let sum = TERMS.iter().fold(0.999_999_999_999_809_9, |sum, term| {
        at += 1.0;
        sum + term / at
    });
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_textbooks() {
        // 1 - alpha^(1/n) where none is wrong; the others from tables of the exact binomial interval.
        for (wrong, seen, alpha, bound) in [
            (0.0, 10.0, 0.05, 0.258_865),
            (0.0, 149.0, 0.05, 0.019_905),
            (1.0, 10.0, 0.05, 0.394_163),
            (5.0, 100.0, 0.05, 0.102_253),
            (10.0, 1000.0, 0.025, 0.018_31),
        ] {
            let got = upper(wrong, seen, alpha);
            assert!((got - bound).abs() < 2e-4, "{wrong} of {seen}: {got}");
        }
    }

    #[test]
    fn nothing_seen_allows_everything() {
        assert!(upper(0.0, 0.0, 0.1) > 0.999);
        assert!(!holds(0.0, 0.0, 0.5, 0.1));
        assert!(!holds(7.0, 7.0, 0.9, 0.1));
    }

    #[test]
    fn the_fewest_labels_are_just_enough() {
        for most in [0.01, 0.02, 0.05, 0.3] {
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let n = fewest(most, 0.01) as f64;
            assert!(holds(0.0, n, most, 0.01));
            assert!(!holds(0.0, n - 1.0, most, 0.01));
        }
    }

    proptest::proptest! {
        #[test]
        fn more_wrong_ones_never_lower_the_bound(wrong in 0u32..300, right in 1u32..3000, alpha in 0.001f64..0.3) {
            let (wrong, seen) = (f64::from(wrong), f64::from(wrong + right));
            let bound = upper(wrong, seen, alpha);
            proptest::prop_assert!(bound >= wrong / seen);
            proptest::prop_assert!(upper(wrong + 1.0, seen + 1.0, alpha) >= bound - 1e-5);
        }
    }
}
