//! What answers cost, in USD, by the configured prices.

use super::ctx::Ctx;
use super::tee::Tee;
use crate::llm::Usage;

/// Digits behind the point: a token of the cheapest models costs some 1e-8.
const DIGITS: usize = 9;

const RESPONSE_COST: &str = "x-tollgate-response-cost";

/// Whether any price is known.
pub(super) fn priced(ctx: &Ctx) -> bool {
    !ctx.snapshot.config.prices.is_empty()
}

/// What `usage` costs by the price of the first of `models` that has one; `None` where none has.
pub(super) fn cost<'a>(
    ctx: &Ctx,
    models: impl IntoIterator<Item = Option<&'a str>>,
    usage: Usage,
) -> Option<f64> {
    let prices = &ctx.snapshot.config.prices;
    let of = |model| prices.iter().find(|price| price.model.is_match(model));
    let price = models.into_iter().flatten().find_map(of)?;
    let usd = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
    Some(usd(usage.input_tokens, price.input) + usd(usage.output_tokens, price.output))
}

/// Tells the client what its whole answer cost, where its usage and a price are known.
pub(super) fn tell(ctx: &mut Ctx, tee: &Tee) {
    let Some(usage) = tee.usage().filter(|_| tee.is_complete()) else {
        return;
    };
    let models = [
        ctx.record.model.as_deref(),
        tee.model().map(|model| &**model),
    ];
    if let Some(usd) = cost(ctx, models, usage) {
        ctx.own.print(RESPONSE_COST, format_args!("{}", Short(usd)));
    }
}

/// Tells the client that nobody was paid for its answer.
pub(super) fn tell_free(ctx: &mut Ctx) {
    if priced(ctx) {
        ctx.own.set(RESPONSE_COST, "0");
    }
}

/// A sum without zeros at its end.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.DIGITS$}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_written_as_people_read_them() {
        for (usd, text) in [
            (0.0, "0"),
            (0.003, "0.003"),
            (12.5, "12.5"),
            (100.0, "100"),
            (1.5e-8, "0.000000015"),
            (1e-12, "0"),
        ] {
            assert_eq!(Short(usd).to_string(), text);
        }
    }
}
