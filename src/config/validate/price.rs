//! `prices`: what tokens cost.

use super::route::glob;
use super::section::Section;
use crate::config::model::Price;
use crate::config::raw::{List, RawPrice};

pub(super) fn prices(mut s: Section<'_>, raw: Option<&List<RawPrice>>) -> Vec<Price> {
    let mut s = s.key("prices");
    let items = raw.into_iter().flatten().enumerate();
    items
        .filter_map(|(n, raw)| price(s.index(n), raw.as_ref()?))
        .collect()
}

fn price(mut s: Section<'_>, raw: &RawPrice) -> Option<Price> {
    if raw.model.is_none() {
        s.missing("model", "a glob such as qwen*");
    }
    let mut usd = |key, leaf| {
        let some = |usd: f64| (0.0..=1e9).contains(&usd);
        s.float(key, leaf, some, "must be USD per million tokens", 0.0)
    };
    let (input, output) = (
        usd("input", raw.input.as_ref()),
        usd("output", raw.output.as_ref()),
    );
    let model = s.read("model", raw.model.as_ref(), glob);
    Some(Price {
        model: model?,
        input,
        output,
    })
}
