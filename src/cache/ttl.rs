//! How long the answer to a question lasts, by what the question is about.
//!
//! Some answers go bad by themselves: today's news, prices, the weather. A rule of the configuration gives them a shorter
//! life, or none; the first that matches counts.

use std::sync::LazyLock;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::config::model::{TtlRule, TtlWhen};

/// Most bytes of a question in which a rule looks: a rule must not cost more than the lookup.
const LOOKED_AT: usize = 16 << 10;

/// The life that the rules give the answer to a question; `None` = they say nothing, zero = it is not to be stored.
#[must_use]
pub fn life(question: &str, rules: &[TtlRule]) -> Option<Duration> {
    let end = question.floor_char_boundary(LOOKED_AT);
    let question = question.get(..end).unwrap_or_default();
    let rule = rules.iter().find(|rule| match &rule.when {
        TtlWhen::Volatile => is_volatile(question),
        TtlWhen::Pattern(pattern) => pattern.0.is_match(question),
    });
    rule.map(|rule| rule.ttl)
}

/// Whether the answer to a question changes by itself. One that is taken for volatile and is not costs a hit later; so
/// the list is wide.
#[must_use]
pub fn is_volatile(question: &str) -> bool {
    VOLATILE
        .as_ref()
        .is_some_and(|volatile| volatile.is_match(question))
}

/// Words of English, German, French, Spanish, Italian, Portuguese, Dutch and Russian: whole ones.
const WORDS: &[&str] = &[
    r"today('s)?|tonight|tomorrow|yesterday|now|nowadays|currently|current|present-day|at the moment|so far|as of",
    r"latest|newest|(most )?recent(ly)?|up[- ]to[- ]date|upcoming|trending|breaking|live",
    r"(this|last|next) (week|weekend|month|quarter|season|year|morning|afternoon|evening|night)",
    r"news|headlines?|weather|forecast|raining|snowing|humidity",
    r"prices?|pricing|stocks?|shares? price|market cap|exchange rates?|interest rates?|mortgage rates?",
    r"(live|final|current|latest|game|match) scores?|scores|standings|who('s| is) winning|traffic|flight status|delays?",
    r"open now|in stock|available now|what time is it|what('s| is) the (time|date)|what day is it",
    r"heute|morgen|gestern|jetzt|gerade|aktuell\w*|derzeit\w*|neue?ste\w*|wetter\w*|preise?|kurse?|nachrichten|diese[ns]? (woche|monat|jahr)",
    r"aujourd'hui|demain|hier|maintenant|actuel\w*|derni[eè]re?s?|météo|prix|actualités?|cette (semaine|année)|ce (mois|soir)",
    r"hoy|mañana|ayer|ahora|actual\w*|últim[oa]s?|clima|pronóstico|precios?|noticias|esta semana|este (mes|año)",
    r"oggi|domani|ieri|adesso|ora|attual\w*|ultim[oaie]|meteo|prezz[oi]|notizie|questa settimana",
    r"hoje|amanhã|ontem|agora|atual\w*|últimos?|preços?|notícias|previsão|esta semana",
    r"vandaag|gisteren|nu|momenteel|actue(el|le)|laatste|weer(bericht)?|prijs|prijzen|nieuws|deze week",
    r"сегодня|завтра|вчера|сейчас|текущ\w*|последн\w*|погод\w*|цен[аыу]?|курс\w*|новост\w*",
];

/// Stretches of scripts whose words are not parted by spaces, or that glue endings to their words.
const STRETCHES: &str = "今天|今日|今晚|明天|明日|昨天|昨日|现在|現在|目前|当前|當前|最新|最近|天气|天氣|天気|价格|價格|価格|股价|股價|株価|汇率|匯率|新闻|新聞|ニュース|\
    오늘|내일|어제|지금|현재|최신|최근|날씨|가격|주가|환율|뉴스|आज|कल|अभी|मौसम|कीमत|समाचार|اليوم|غدا|أمس|الآن|حاليا|أحدث|الطقس|سعر|أسعار|أخبار|วันนี้|พรุ่งนี้|ตอนนี้|ล่าสุด|ราคา|ข่าว";

/// `None` only if the lists are broken, which a test rules out.
static VOLATILE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = WORDS.join("|");
    RegexBuilder::new(&format!(r"\b(?:{words})\b|{STRETCHES}"))
        .case_insensitive(true)
        .build()
        .ok()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Pattern;

    fn pattern(text: &str, ttl: u64) -> TtlRule {
        TtlRule {
            when: TtlWhen::Pattern(Pattern(Regex::new(text).expect("a pattern"))),
            ttl: Duration::from_secs(ttl),
        }
    }

    #[test]
    fn questions_about_what_changes_are_volatile() {
        for question in [
            "What is the weather in Lyon?",
            "who is the current prime minister",
            "Latest news on rust",
            "what's Apple's stock price",
            "What TIME is it",
            "Wie wird das Wetter morgen?",
            "Quel est le prix de l'or ?",
            "¿Qué tiempo hace hoy?",
            "Какая сегодня погода",
            "今天天气怎么样",
            "東京の現在の気温",
            "오늘의 날씨는?",
            "ما هو سعر الذهب",
        ] {
            assert!(is_volatile(question), "{question}");
        }
    }

    #[test]
    fn questions_about_what_stays_are_not() {
        for question in [
            "What is the capital of France?",
            "How do I know my blood type?",
            "Explain delivery of goods in Snowdonia",
            "Was ist die Hauptstadt von Frankreich?",
            "¿Cuál es la capital de Francia?",
            "法国的首都是什么",
            "",
        ] {
            assert!(!is_volatile(question), "{question}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let volatile = TtlRule {
            when: TtlWhen::Volatile,
            ttl: Duration::from_secs(60),
        };
        let rules = [pattern("(?i)gold", 0), volatile, pattern("weather", 5)];
        let life = |question| life(question, &rules).map(|ttl| ttl.as_secs());
        assert_eq!(life("the price of GOLD"), Some(0));
        assert_eq!(life("the weather in Rome"), Some(60));
        assert_eq!(life("the age of Rome"), None);
    }

    #[test]
    fn a_rule_looks_at_the_beginning_of_a_long_question_only() {
        let far = format!("{}é weather", "é".repeat(LOOKED_AT));
        assert_eq!(life(&far, &[pattern("weather", 1)]), None);
        assert_eq!(
            life("weather", &[pattern("weather", 1)]),
            Some(Duration::from_secs(1))
        );
    }
}
