//! What a learner shows of itself.

use super::cut::Region;

/// What is known of one ground or class.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The ground, its first bytes in hex.
    pub ground: String,
    /// The class likewise; `None` = all of the ground.
    pub class: Option<String>,
    /// Name of the route.
    pub route: String,
    /// Whether anything is served on its word.
    pub open: bool,
    /// Labels it rests on.
    pub labels: usize,
    /// Times that errors rose suddenly and all was learnt anew.
    pub alarms: u64,
    /// The region served, or on trial.
    pub serve: Option<Region>,
    /// Precision against hit ratio, from the safest region to all.
    pub curve: Vec<Region>,
}

impl Report {
    /// Area under precision against hit ratio, 0 to 1: what Redis calls P-CHR AUC (arXiv 2606.19719).
    #[must_use]
    pub fn area(&self) -> f64 {
        let (mut area, mut share, mut precision) = (0.0, 0.0, None);
        for region in &self.curve {
            let next = 1.0 - region.error;
            area += (region.share - share) * f64::midpoint(precision.unwrap_or(next), next);
            (share, precision) = (region.share, Some(next));
        }
        area
    }
}

/// The first bytes of a hash, to tell one from another.
pub(super) fn short(hash: &[u8; 32]) -> String {
    hash.iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_of_a_perfect_cache_is_its_hit_ratio() {
        let region = |share, error| Region {
            from: 0.0,
            share,
            error,
            bound: 1.0,
            labels: 1,
        };
        let mut report = Report {
            ground: String::new(),
            class: None,
            route: String::new(),
            open: false,
            labels: 0,
            alarms: 0,
            serve: None,
            curve: vec![region(0.2, 0.0), region(0.6, 0.0)],
        };
        assert!((report.area() - 0.6).abs() < 1e-9);
        report.curve.push(region(1.0, 0.5));
        assert!((report.area() - 0.9).abs() < 1e-9);
    }
}
