//! "Did you mean": the known word nearest to an unknown one.

/// Words that users of other gateways and proxies write, and ours.
const ALIASES: &[(&str, &str)] = &[
    ("similarity_threshold", "threshold"),
    ("rpm", "requests"),
    ("rps", "requests"),
    ("tpm", "tokens"),
    ("max_parallel_requests", "concurrency"),
    ("max_concurrency", "concurrency"),
    ("upstreams", "pools"),
    ("upstream", "pool"),
    ("backends", "peers"),
    ("servers", "peers"),
    ("endpoints", "peers"),
    ("url", "address"),
    ("host", "address"),
    ("max_conns", "max_requests"),
    ("bind", "listen"),
    ("strategy", "balance"),
    ("policy", "balance"),
    ("least_conn", "least_requests"),
    ("user", "key"),
    ("max_fails", "after"),
    ("client_max_body_size", "max_body"),
    ("workers", "threads"),
    ("key", "key_file"),
    ("hash", "sha256"),
];

/// The known word that was probably meant, if one is near enough.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let alias = ALIASES
        .iter()
        .filter(|(theirs, _)| *theirs == word)
        .map(|(_, ours)| ours);
    let by_alias = alias
        .flat_map(|ours| known.iter().find(|k| *k == ours))
        .next();
    by_alias.copied().or_else(|| {
        let scored = known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(&word, k), *k));
        let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
        let allowed = (word.chars().count().max(best.chars().count()) / 3).max(1);
        (distance <= allowed).then_some(best)
    })
}

/// A hint for an unknown word: the nearest known one, else all of them.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(best) => format!("did you mean `{best}`?"),
        None if known.is_empty() => String::new(),
        None => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_slip_finds_its_word() {
        let known = ["address", "weight", "max_requests", "backup"];
        assert_eq!(suggest("wieght", &known), "did you mean `weight`?");
        assert_eq!(
            suggest("max-requests", &known),
            "did you mean `max_requests`?"
        );
        assert_eq!(suggest("Backup", &known), "did you mean `backup`?");
    }

    #[test]
    fn a_word_of_another_gateway_finds_ours() {
        assert_eq!(nearest("rpm", &["requests", "tokens"]), Some("requests"));
        assert_eq!(
            nearest("similarity_threshold", &["threshold"]),
            Some("threshold")
        );
    }

    #[test]
    fn a_far_word_gets_the_list() {
        assert_eq!(
            suggest("colour", &["ttl", "scope"]),
            "known here: ttl, scope"
        );
        assert_eq!(nearest("x", &["ttl"]), None);
    }
}
