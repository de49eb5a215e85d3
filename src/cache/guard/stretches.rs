//! Chinese and Japanese, which put no spaces between words.
//!
//! A sentence model made for English sees little of them, so two texts that differ in one short stretch look alike
//! whatever the stretch says. That stretch is the evidence here.

use super::words::unspaced;

/// Most characters of a text that is compared so.
const LONGEST: usize = 512;

/// Most characters, on either side, of a stretch that is taken for one word put in place of another.
const STRETCH: usize = 6;

/// Characters of asking, politeness and grammar: a difference in these alone is none.
const LIGHT: &str = "如何怎么样请问是否吗呢的地得了着啊呀吧什啥哪些个一我想要你您可以能会在于和与の は を が に で と も か よ ね さ です ます 何 を教えてください 如";

/// Denials. A character doubled around the first two asks instead ("是不是").
const DENIALS: [char; 8] = ['不', '没', '未', '无', '無', '非', '别', '勿'];

/// The text's characters of such scripts, if it is mostly in them.
pub(super) fn characters(text: &str) -> Vec<char> {
    let all: Vec<char> = text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .take(LONGEST)
        .collect();
    let own = all.iter().filter(|c| unspaced(**c)).count();
    if own * 2 >= all.len() {
        all
    } else {
        Vec::new()
    }
}

/// Whether it says no.
pub(super) fn denies(characters: &[char]) -> bool {
    let around = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| characters.get(at));
        before.is_some() && before == characters.get(at + 1)
    };
    let chinese = characters
        .iter()
        .enumerate()
        .any(|(at, c)| DENIALS.contains(c) && !around(at));
    let japanese = characters
        .windows(2)
        .any(|pair| pair == ['な', 'い'] || pair == ['せ', 'ん']);
    chinese || japanese
}

/// Whether two texts are one but for a short stretch that shares nothing.
pub(super) fn substituted(a: &[char], b: &[char]) -> bool {
    if a.is_empty() || b.is_empty() {
        return false;
    }
    let before = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (
        a.get(before..).unwrap_or_default(),
        b.get(before..).unwrap_or_default(),
    );
    let behind = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let stretch = |text: &[char]| -> Vec<char> {
        text.iter()
            .take(text.len() - behind)
            .copied()
            .filter(|c| !LIGHT.contains(*c))
            .collect()
    };
    let (a, b) = (stretch(a), stretch(b));
    let short = |text: &[char]| (1..=STRETCH).contains(&text.len());
    short(&a) && short(&b) && !a.iter().any(|c| b.contains(c))
}
