//! Which limit of a new configuration goes on where which of the old one stands.

use crate::config::model::{Limit, Rate};

/// For each of `new` the index of its forerunner in `old`, no index twice. What is most alike finds its forerunner
/// first: the same limit, then the same members and periods, then the same members.
pub(super) fn heirs(old: &[&Limit], new: &[Limit]) -> Vec<Option<usize>> {
    let mut heirs = vec![None; new.len()];
    for alike in [same, same_periods, same_members] {
        for (index, limit) in new.iter().enumerate() {
            if heirs[index].is_some() {
                continue;
            }
            let forerunner = old
                .iter()
                .enumerate()
                .position(|(at, old)| alike(old, limit) && !heirs.contains(&Some(at)));
            heirs[index] = forerunner;
        }
    }
    heirs
}

fn same(old: &Limit, new: &Limit) -> bool {
    old == new
}

fn same_periods(old: &Limit, new: &Limit) -> bool {
    let period = |rate: Rate| rate.period;
    let periods = |limit: &Limit| (limit.requests.map(period), limit.tokens.map(period));
    same_members(old, new) && periods(old) == periods(new)
}

fn same_members(old: &Limit, new: &Limit) -> bool {
    old.per == new.per && old.tier == new.tier
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::model::Dimension;

    fn limit(amount: u64, secs: u64) -> Limit {
        let period = Duration::from_secs(secs);
        Limit {
            per: Dimension::Key,
            tier: None,
            requests: Some(Rate { amount, period }),
            tokens: None,
            concurrency: None,
        }
    }

    fn found(old: &[Limit], new: &[Limit]) -> Vec<Option<usize>> {
        heirs(&old.iter().collect::<Vec<_>>(), new)
    }

    #[test]
    fn a_limit_that_stays_keeps_its_place_wherever_it_moves() {
        let (minute, hour) = (limit(100, 60), limit(1000, 3600));
        let old = [minute.clone(), hour.clone()];
        let moved = [limit(5, 1), hour.clone(), minute.clone()];
        assert_eq!(found(&old, &moved), [None, Some(1), Some(0)]);
        assert_eq!(found(&old, &[hour]), [Some(1)]);
    }

    #[test]
    fn a_changed_amount_goes_before_a_changed_period() {
        let old = [limit(100, 60), limit(1000, 3600)];
        let new = [limit(9, 1), limit(2000, 3600), limit(200, 60)];
        assert_eq!(found(&old, &new), [None, Some(1), Some(0)]);
        assert_eq!(found(&old, &[limit(9, 1)]), [Some(0)]);
    }

    #[test]
    fn other_members_inherit_nothing() {
        let mut tenant = limit(100, 60);
        tenant.per = Dimension::Tenant;
        let mut paid = limit(100, 60);
        paid.tier = Some("paid".into());
        assert_eq!(found(&[limit(100, 60)], &[tenant, paid]), [None, None]);
    }
}
