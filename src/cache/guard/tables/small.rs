//! Small words: denials, and words too common to be names.

/// Denials in several languages. Words ending in `n't` need no entry.
pub(in super::super) const DENIALS: &[&str] = &[
    "not, no, never, without, none, nobody, nothing, neither, nor, cannot, cant, dont, doesnt, didnt, isnt, wont, unable, \
     arent, wasnt, hasnt, havent, wouldnt, shouldnt, couldnt",
    "nicht, kein, keine, keinen, keiner, keinem, nie, niemals, ohne, nichts",
    "pas, jamais, sans, aucun, aucune",
    "nunca, jamás, ningún, ninguna, nada",
    "senza, nessun, nessuno",
    "não, sem, nenhum",
    "niet, geen, zonder, nooit",
    "не, нет, без, никогда, нельзя",
    "inte, ikke, utan, uden",
    "nie, bez",
];

/// Words behind a denial that make a complaint or a doubt of it, which others put without one: "I can't find", "not sure".
pub(in super::super) const SOOTHING: &[&str] = &[
    "sure, know, understand, remember, recall, figure, see, find, seem, only, matter, longer, recognize, recognise, \
     yet, receive, received, arrived, get, got, work, works, worked, working, access, \
     believe, think, appear, changed",
];

/// Words that begin sentences and headings with a capital, and are no names.
pub(in super::super) const COMMON: &[&str] = &[
    "i, i'm, i'd, i'll, i've, im, ive, a, an, the, this, that, these, those, my, your, his, her, its, our, their, me, you, he, \
     she, it, we, they, who, what, when, where, why, how, which, whose, whom, is, are, was, were, be, been, am, do, does, did, \
     can, could, should, would, will, shall, may, might, must, has, have, had, in, on, at, by, for, of, to, from, with, without, \
     and, or, but, if, so, as, than, then, not, no, yes, please, hi, hello, hey, thanks, thank, ok, okay, sir, dear, there, here, \
     let, tell, give, show, explain, write, list, find, get, make, help, need, want, any, some, all, many, much, more, most, \
     other, what's, how's, where's, who's, that's, it's, there's, don't, can't, won't, isn't, doesn't, didn't, i'd, let's, \
     about, into, after, before, between, during, because, while, also, just, only, very, too, now, today, vs, versus, via, \
     being, having, doing, going, using, one, two, first, best, good, new, people, life, time, way, day, year, money, job, \
     question, questions, answer, quora, etc, eg, ie, both, each, every, such, same, own, up, out, off, over, under, again",
    "der, die, das, ein, eine, wie, was, wer, wo, wann, warum, ist, und, oder, ich, sie",
    "le, la, les, un, une, des, que, qui, où, quand, pourquoi, comment, est, et, je",
    "el, los, las, una, qué, quién, dónde, cuándo, por, cómo, es, y, yo",
];
