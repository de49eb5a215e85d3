//! Numbers, the operators between them, units and dates.

use super::lexicon::{Sense, sense};
use super::words::{Kind, Piece, Words};

/// What a text counts and measures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counted {
    /// Numbers in their plainest form, sorted unless there are operators; then they stand as they were written.
    numbers: Vec<String>,
    /// Whether one of them is written in digits.
    digits: bool,
    /// Operators between numbers, in order.
    operators: Vec<char>,
    /// Units, each once, sorted.
    units: Vec<u16>,
    /// Days and months, each once, sorted.
    dates: Vec<u16>,
    /// Whether one of these is more than today and the like.
    far: bool,
}

/// Months whose names are verbs: counted beside a number or behind a word that dates have before them.
const VERBS: [&str; 4] = ["may", "march", "mars", "hier"];

impl Counted {
    /// Reads a text.
    pub(super) fn of(words: &Words) -> Self {
        let mut counted = Self::default();
        let pieces = words.pieces();
        let mut at = 0;
        while let Some(piece) = pieces.get(at) {
            let sense = piece.sense;
            let used = match piece.kind {
                Kind::Number => counted.number(words, at),
                Kind::Word if sense.number.is_some() || sense.scale == Some(100) => {
                    counted.spelt(words, at)
                }
                _ => 1,
            };
            if used > 1 || piece.kind == Kind::Number {
                at += used.max(1);
                continue;
            }
            counted.units.extend(sense.unit);
            counted.date(words, at, sense);
            counted.operator(words, at);
            at += used.max(1);
        }
        counted.units.sort_unstable();
        counted.units.dedup();
        counted.dates.sort_unstable();
        counted.dates.dedup();
        if counted.operators.is_empty() {
            counted.numbers.sort_unstable();
        }
        counted
    }

    /// Whether they count differently. A number in letters that only one has ("two weeks ago", "the five best") is no
    /// evidence.
    pub(super) fn numbers_differ(&self, other: &Self) -> bool {
        let one_sided = self.numbers.is_empty() != other.numbers.is_empty();
        let differ = self.numbers != other.numbers && (!one_sided || self.digits || other.digits);
        differ || self.operators != other.operators
    }

    /// Whether both measure, and in different units.
    pub(super) fn units_differ(&self, other: &Self) -> bool {
        !self.units.is_empty() && !other.units.is_empty() && self.units != other.units
    }

    /// Whether they speak of different days. Today and the near past are no evidence where only one names a day.
    pub(super) fn dates_differ(&self, other: &Self) -> bool {
        let one_sided = self.dates.is_empty() != other.dates.is_empty();
        self.dates != other.dates && (!one_sided || self.far || other.far)
    }

    /// A number in digits, with the scale and the unit behind it. Returns the pieces it takes.
    fn number(&mut self, words: &Words, at: usize) -> usize {
        let Some(piece) = words.pieces().get(at) else {
            return 1;
        };
        let said = words.said(piece);
        self.digits = true;
        let behind = words.pieces().get(at + 1);
        let word = behind.map_or("", |piece| words.said(piece));
        match behind.and_then(|piece| piece.sense.scale) {
            Some(scale) if word != "k" || behind.is_some_and(|piece| piece.glued) => {
                let value = plainest(said).parse::<f64>().unwrap_or(0.0) * scale as f64;
                self.numbers.push(value.to_string());
                2
            }
            _ => {
                self.numbers.push(plainest(said));
                self.measure(behind, word)
            }
        }
    }

    /// A unit behind a number may be a letter that is no unit elsewhere.
    fn measure(&mut self, behind: Option<&Piece>, word: &str) -> usize {
        let short = match word {
            "m" => "meter",
            "g" => "gram",
            "l" => "liter",
            "h" | "hr" => "hour",
            "s" | "sec" | "second" => "seconds",
            "min" => "minute",
            "foot" => "feet",
            "yard" => "yards",
            "pound" => "pounds",
            "ton" => "tonne",
            "w" => "watt",
            "v" => "volt",
            "c" => "celsius",
            "f" => "fahrenheit",
            _ => return 1,
        };
        let Some(unit) = sense(short).unit else {
            return 1;
        };
        if word.len() > 1 || behind.is_some_and(|piece| piece.glued) {
            self.units.push(unit);
            return 2;
        }
        1
    }

    /// A number in letters: tens and ones, hundreds, thousands. Returns the pieces it takes.
    fn spelt(&mut self, words: &Words, at: usize) -> usize {
        let (mut total, mut current, mut used) = (0u64, None::<u64>, 0);
        for piece in words.pieces().iter().skip(at) {
            let said = piece.sense;
            match (said.number, said.scale, current) {
                (Some(number), _, None) => current = Some(number.into()),
                (Some(number), _, Some(before)) if before >= 20 && number < 10 => {
                    current = Some(before + u64::from(number));
                }
                (None, Some(scale), _) => {
                    let scaled = current.take().unwrap_or(1).saturating_mul(scale);
                    if scale < 1000 {
                        current = Some(scaled);
                    } else {
                        total = total.saturating_add(scaled);
                    }
                }
                _ if piece.kind == Kind::Mark('-') && piece.glued => {}
                _ => break,
            }
            used += 1;
        }
        let value = total.saturating_add(current.unwrap_or(0));
        self.numbers.push(value.to_string());
        used
    }

    fn date(&mut self, words: &Words, at: usize, here: Sense) {
        let pieces = words.pieces();
        let said = |at: usize| {
            pieces
                .get(at)
                .map(|piece| words.said(piece))
                .unwrap_or_default()
        };
        if let Some(both) = words.pair(at)
            && let Some(date) = both.date
        {
            self.dates.push(date);
            self.far |= !both.near;
            return;
        }
        let Some(date) = here.date else { return };
        if VERBS.contains(&said(at)) {
            let before = at.checked_sub(1).map(said).unwrap_or_default();
            let dated = [
                "in", "on", "since", "until", "by", "of", "next", "last", "this", "from", "late",
                "early", "mid",
            ];
            let beside = |at: Option<usize>| {
                at.and_then(|at| pieces.get(at))
                    .is_some_and(|piece| piece.kind == Kind::Number)
            };
            if !(dated.contains(&before) || beside(at.checked_sub(1)) || beside(Some(at + 1))) {
                return;
            }
        }
        self.dates.push(date);
        self.far |= !here.near;
    }

    /// `+ * ^ × ÷ =` beside a number; `-` and `/` only with space around, since `2-3` and `1/2/2024` are no sums.
    fn operator(&mut self, words: &Words, at: usize) {
        let pieces = words.pieces();
        let Some(Kind::Mark(mark)) = pieces.get(at).map(|piece| piece.kind) else {
            return;
        };
        let operand = |piece: Option<&Piece>| {
            piece.is_some_and(|piece| {
                piece.kind == Kind::Number
                    || (piece.kind == Kind::Word && words.said(piece).chars().count() == 1)
            })
        };
        let before = at.checked_sub(1).and_then(|at| pieces.get(at));
        let after = pieces.get(at + 1);
        if !(operand(before) && operand(after)) {
            return;
        }
        let apart = pieces.get(at).is_some_and(|piece| !piece.glued)
            && after.is_some_and(|piece| !piece.glued);
        match mark {
            '+' | '*' | '^' | '×' | '÷' | '=' | '<' | '>' => self.operators.push(mark),
            '-' | '/' if apart => self.operators.push(mark),
            _ => {}
        }
    }
}

/// A number without separators of thousands and without idle zeros at its end. Digits that begin with zero are no
/// quantity (a telephone, a post code) and stay as they are.
fn plainest(said: &str) -> String {
    let parts: Vec<&str> = said.split([',', '.']).collect();
    let points = said.matches('.').count();
    let commas = said.matches(',').count();
    let thousands = |parts: &[&str]| parts.iter().skip(1).all(|part| part.len() == 3);
    let (whole, fraction) = match (commas, points) {
        (0, 0) => (said.to_owned(), ""),
        (1.., 0) if thousands(&parts) => (parts.concat(), ""),
        (1, 0) | (0, 1) => (
            parts.first().unwrap_or(&"").to_string(),
            parts.get(1).copied().unwrap_or(""),
        ),
        (1.., 1) if said.rfind('.') > said.rfind(',') => {
            let (whole, fraction) = said.rsplit_once('.').unwrap_or((said, ""));
            (whole.replace(',', ""), fraction)
        }
        // Versions, dates, addresses: as written.
        _ => return said.to_owned(),
    };
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        whole
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<String> {
        Counted::of(&Words::of(text)).numbers
    }

    #[test]
    fn one_number_has_one_form_however_it_is_written() {
        for (a, b) in [
            ("1,000", "1000"),
            ("5.50", "5.5"),
            ("twenty-five", "25"),
            ("two hundred", "200"),
            ("3 million", "3000000"),
            ("5k", "5 thousand"),
            ("１０", "ten"),
            ("3rd", "third"),
            ("1.2.3", "1.2.3"),
        ] {
            assert_eq!(numbers(a), numbers(b), "{a} {b}");
        }
        for (a, b) in [
            ("007", "7"),
            ("1.5", "15"),
            ("20 5", "25"),
            ("10.0.0.1", "10.0.0.2"),
        ] {
            assert_ne!(numbers(a), numbers(b), "{a} {b}");
        }
    }

    #[test]
    fn a_unit_is_one_under_all_its_names() {
        let units = |text: &str| Counted::of(&Words::of(text)).units;
        assert_eq!(units("5kg"), units("5 kilograms"));
        assert_eq!(units("$5"), units("5 dollars"));
        assert_eq!(units("5m"), units("5 metres"));
        assert_ne!(units("in miles"), units("in kilometers"));
        assert_eq!(units("I am 5"), units("hello"));
    }

    #[test]
    fn months_that_are_verbs_count_only_as_months() {
        let dates = |text: &str| Counted::of(&Words::of(text)).dates.len();
        assert_eq!(dates("may I ask whether they march"), 0);
        assert_eq!(dates("in May or on 5 march"), 2);
    }

    #[test]
    fn sums_keep_their_order_and_their_operators() {
        let counted = |text: &str| Counted::of(&Words::of(text));
        assert_ne!(counted("10 / 2"), counted("2 / 10"));
        assert_ne!(counted("3 + 4"), counted("3 * 4"));
        assert_eq!(counted("2-3 weeks").operators, Vec::<char>::new());
    }
}
