//! The script of a text and, within the Latin one, its language by its smallest words.

use super::words::Words;

/// Scripts that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// A to Z with all their marks.
    Latin,
    /// Greek.
    Greek,
    /// Russian and its neighbours.
    Cyrillic,
    /// Hebrew.
    Hebrew,
    /// Arabic, Persian, Urdu.
    Arabic,
    /// Hindi, Marathi and others of India.
    Indic,
    /// Thai and its neighbours.
    Thai,
    /// Korean.
    Hangul,
    /// Japanese, where it shows its own letters.
    Kana,
    /// Chinese, and Japanese without them.
    Han,
}

/// Languages in Latin script that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// English.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Italian.
    Italian,
    /// Portuguese.
    Portuguese,
    /// Dutch.
    Dutch,
}

/// Small words that are frequent in one language and rare in the others.
pub(super) const SMALL: [(Language, &[&str]); 7] = [
    (
        Language::English,
        &[
            "the", "is", "are", "what", "how", "of", "and", "my", "you", "to", "does", "with",
            "can", "why", "it", "when", "where", "who", "for", "your",
        ],
    ),
    (
        Language::German,
        &[
            "der", "das", "ist", "und", "wie", "ich", "nicht", "ein", "eine", "mein", "meine",
            "wo", "warum", "wann", "mit", "für", "kann", "den", "wer",
        ],
    ),
    (
        Language::French,
        &[
            "le", "les", "est", "et", "je", "une", "des", "mon", "ma", "où", "pourquoi", "quand",
            "quelle", "quel", "dans", "vous", "pour", "avec", "du",
        ],
    ),
    (
        Language::Spanish,
        &[
            "el", "los", "las", "es", "y", "qué", "cómo", "dónde", "cuándo", "mi", "por", "puedo",
            "cuál", "del", "una", "para", "está", "hacer",
        ],
    ),
    (
        Language::Italian,
        &[
            "il", "gli", "è", "che", "di", "perché", "quando", "della", "posso", "sono", "mio",
            "mia", "dove", "qual", "con", "una", "per",
        ],
    ),
    (
        Language::Portuguese,
        &[
            "os", "é", "não", "meu", "minha", "como", "onde", "por", "você", "uma", "qual", "são",
            "para", "em",
        ],
    ),
    (
        Language::Dutch,
        &[
            "de", "het", "een", "hoe", "wat", "waar", "waarom", "mijn", "niet", "ik", "van",
            "zijn", "wanneer", "kan", "voor", "wie",
        ],
    ),
];

/// Small words a text must have of one language, and more than of any other, for it to be in it.
const LEAST: usize = 2;

/// The script of most letters; none where there are no letters. Any kana makes a text Japanese.
pub(super) fn script(text: &str) -> Option<Script> {
    let mut counts = [0usize; 10];
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        if let Some(count) = of(c).and_then(|script| counts.get_mut(script as usize)) {
            *count += 1;
        }
    }
    if counts[Script::Kana as usize] > 0
        && counts[Script::Kana as usize] * 10 >= counts[Script::Han as usize]
    {
        counts[Script::Kana as usize] += counts[Script::Han as usize];
    }
    // A letter of these scripts says as much as several of the others.
    counts[Script::Han as usize] *= 3;
    counts[Script::Kana as usize] *= 3;
    const ALL: [Script; 10] = [
        Script::Latin,
        Script::Greek,
        Script::Cyrillic,
        Script::Hebrew,
        Script::Arabic,
        Script::Indic,
        Script::Thai,
        Script::Hangul,
        Script::Kana,
        Script::Han,
    ];
    let most = ALL
        .into_iter()
        .max_by_key(|script| counts[*script as usize])?;
    (counts[most as usize] > 0).then_some(most)
}

fn of(c: char) -> Option<Script> {
    Some(match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        '\u{600}'..='\u{77f}' => Script::Arabic,
        '\u{900}'..='\u{dff}' => Script::Indic,
        '\u{e00}'..='\u{eff}' | '\u{1780}'..='\u{17ff}' => Script::Thai,
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => Script::Hangul,
        '\u{3040}'..='\u{30ff}' => Script::Kana,
        '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => Script::Han,
        _ => return None,
    })
}

/// The language of a text in Latin script; none unless it is plain.
pub(super) fn language(words: &Words) -> Option<Language> {
    let mut seen: Vec<&str> = Vec::new();
    let mut counts = SMALL.map(|(language, _)| (0usize, language));
    for piece in words
        .pieces()
        .iter()
        .filter(|piece| piece.sense.languages != 0)
    {
        let said = words.said(piece);
        if seen.contains(&said) {
            continue;
        }
        seen.push(said);
        for (bit, count) in counts.iter_mut().enumerate() {
            count.0 += usize::from(piece.sense.languages >> bit & 1);
        }
    }
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    match counts {
        [(most, language), (next, _), ..] if most >= LEAST && most > next => Some(language),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_that_of_most_letters() {
        for (text, is) in [
            ("Привет, how", Script::Cyrillic),
            ("法国的首都 is", Script::Han),
            ("フランスの首都", Script::Kana),
            ("프랑스의 수도", Script::Hangul),
            ("ما هي عاصمة", Script::Arabic),
            ("Où est-il?", Script::Latin),
        ] {
            assert_eq!(script(text), Some(is), "{text}");
        }
        assert_eq!(script("12 + 3?"), None);
    }

    #[test]
    fn a_language_shows_by_its_small_words_or_not_at_all() {
        let of = |text: &str| language(&Words::of(text));
        assert_eq!(of("what is the capital of france"), Some(Language::English));
        assert_eq!(of("wie ist das wetter"), Some(Language::German));
        assert_eq!(
            of("quelle est la capitale de la france"),
            Some(Language::French)
        );
        assert_eq!(of("cuál es la capital del país"), Some(Language::Spanish));
        assert_eq!(of("capital france"), None);
    }
}
