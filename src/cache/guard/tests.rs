use proptest::prelude::*;

use super::*;

fn verdict(a: &str, b: &str) -> Result<(), Difference> {
    let (a, b) = (Facts::of(a), Facts::of(b));
    let (verdict, turned) = (a.same(&b), b.same(&a));
    assert_eq!(verdict, turned, "the order must not matter");
    verdict
}

/// Questions near in words and far in answers, by the rule that tells them apart.
const TRAPS: &[(&str, &str, Difference)] = {
    use Difference::*;
    &[
        (
            "What does iPhone 6 cost?",
            "What does iPhone 7 cost?",
            Numbers,
        ),
        (
            "How do I cook rice for two people?",
            "How do I cook rice for three people?",
            Numbers,
        ),
        ("What is 15% of 80?", "What is 15% of 90?", Numbers),
        ("what is 3 + 4", "what is 3 * 4", Numbers),
        ("what is 10 / 2", "what is 2 / 10", Numbers),
        ("Who won in 1998?", "Who won in 2002?", Numbers),
        ("Is version 1.2.3 safe?", "Is version 1.2.4 safe?", Numbers),
        (
            "Name the 10 tallest towers",
            "Name the tallest towers",
            Numbers,
        ),
        ("Convert 5 kg to stones", "Convert 5 lb to stones", Units),
        (
            "how many days until my trip",
            "how many weeks until my trip",
            Units,
        ),
        (
            "how far is it in miles",
            "how far is it in kilometers",
            Units,
        ),
        (
            "I want to send 50 dollars",
            "I want to send 50 euros",
            Units,
        ),
        (
            "Is the shop open on Monday?",
            "Is the shop open on Sunday?",
            Dates,
        ),
        ("what is on today", "what is on tomorrow", Dates),
        (
            "Which holidays are in May?",
            "Which holidays are in June?",
            Dates,
        ),
        (
            "Can I eat this with nuts?",
            "Can I not eat this with nuts?",
            Negation,
        ),
        ("Pasta with garlic", "Pasta without garlic", Negation),
        (
            "Why do cats like water?",
            "Why don't cats like water?",
            Negation,
        ),
        (
            "Welche Tiere können fliegen?",
            "Welche Tiere können nicht fliegen?",
            Negation,
        ),
        (
            "¿Por qué puedo entrar?",
            "¿Por qué nunca puedo entrar?",
            Negation,
        ),
        ("我可以取消订单吗", "我不可以取消订单吗", Negation),
        (
            "Should I eat before the run?",
            "Should I eat after the run?",
            Opposites,
        ),
        (
            "How do I increase my pulse?",
            "How do I decrease my pulse?",
            Opposites,
        ),
        (
            "What is the cheapest hotel?",
            "What is the most expensive hotel?",
            Opposites,
        ),
        ("How to buy shares", "How to sell shares", Opposites),
        (
            "Which city has the most rain?",
            "Which city has the least rain?",
            Opposites,
        ),
        ("turn on the lights", "turn off the lights", Opposites),
        (
            "What is the highest mountain?",
            "What is the lowest mountain?",
            Opposites,
        ),
        (
            "How do I enable roaming?",
            "How do I disable roaming?",
            Opposites,
        ),
        (
            "How do I upload a picture?",
            "How do I download a picture?",
            Opposites,
        ),
        ("paint the wall red", "paint the wall green", Opposites),
        (
            "a flight from Lima to Quito",
            "a flight from Quito to Lima",
            Roles,
        ),
        ("convert francs to pesos", "convert pesos to francs", Roles),
        (
            "Is gold heavier than lead?",
            "Is lead heavier than gold?",
            Roles,
        ),
        (
            "What is the capital of France?",
            "What is the capital of Italy?",
            Names,
        ),
        (
            "what is the capital of france",
            "what is the capital of italy",
            Names,
        ),
        ("capital of north korea", "capital of south korea", Names),
        (
            "How do I sort a list in Python?",
            "How do I sort a list in Ruby?",
            Names,
        ),
        (
            "When was Michael Jordan born?",
            "When was Michael Jackson born?",
            Names,
        ),
        (
            "What is the population?",
            "What is the population of Kenya?",
            Names,
        ),
        (
            "How do I say hello in spanish?",
            "How do I say hello in german?",
            Names,
        ),
        ("法国的首都是什么？", "意大利的首都是什么？", Names),
        (
            "フランスの首都はどこですか",
            "イタリアの首都はどこですか",
            Names,
        ),
        (
            "What does \"carpe diem\" mean?",
            "What does \"memento mori\" mean?",
            Quotes,
        ),
        (
            "how do you spell 'accommodate'",
            "how do you spell 'necessary'",
            Quotes,
        ),
        (
            "Explain `git rebase` please",
            "Explain `git merge` please",
            Quotes,
        ),
        (
            "Fetch https://a.example/one",
            "Fetch https://a.example/two",
            Identifiers,
        ),
        (
            "who owns bob@a.example",
            "who owns eve@a.example",
            Identifiers,
        ),
        (
            "what is in /etc/hosts",
            "what is in /etc/fstab",
            Identifiers,
        ),
        (
            "what does max_tokens do",
            "what does top_logprobs do",
            Identifiers,
        ),
        ("tutorial for C++", "tutorial for C#", Identifiers),
        (
            "Who wrote the Iliad?",
            "When was the Iliad written?",
            Question,
        ),
        ("Where was he shot?", "Why was he shot?", Question),
        ("How many people live there?", "Who lives there?", Question),
        ("What is my name?", "What is your name?", Person),
        (
            "Wie ist das Wetter und wo ist der Bus?",
            "What is the weather and where is the bus?",
            Language,
        ),
        ("Привет, как дела?", "Hello, how are you?", Language),
        ("Explain ```x = 1```", "Explain ```x = 2```", Code),
        ("Explain ```let a = b;```", "Explain it", Code),
    ]
};

/// Questions in other words with the same answer.
const PARAPHRASES: &[(&str, &str)] = &[
    ("What is the capital of France?", "france's capital is what"),
    (
        "Tell me the capital of France",
        "What's the French capital?",
    ),
    (
        "How do I reset my password?",
        "how can i reset the password",
    ),
    (
        "How do I reset my password?",
        "I forgot my password, how to reset it?",
    ),
    (
        "How can I lose weight fast?",
        "What is the quickest way to lose weight?",
    ),
    (
        "How do you change your password?",
        "How do I change my password?",
    ),
    ("Why can't I log in?", "why am I not able to log in"),
    ("What did Donald Trump say?", "What did Trump say?"),
    ("a flight from Lima to Quito", "to Quito from Lima a flight"),
    (
        "How do I say 'good morning' in Spanish?",
        "how do I say good morning in spanish",
    ),
    ("I waited 2 weeks for it", "I waited two weeks for it"),
    ("Is it worth $1,000?", "Is it worth 1000 dollars?"),
    (
        "How old is the universe?",
        "What is the age of the universe?",
    ),
    ("Which films are best?", "What are good films?"),
    ("HOW DO I CLEAN AN OVEN", "how do i clean an oven?"),
    (
        "How To Clean An Oven Quickly And Cheaply?",
        "how to clean an oven quickly and cheaply",
    ),
    (
        "So, how do I clean an oven? Thanks!",
        "Please tell me how to clean an oven.",
    ),
    ("我怎么重置密码", "请问如何重置密码"),
    (
        "Wie setze ich mein Passwort zurück?",
        "Wie kann ich mein Passwort zurücksetzen?",
    ),
    ("What is a dog's lifespan?", "What is the lifespan of dogs?"),
    ("Where is my order?", "My order, where is it?"),
    ("Mes amis’ maison", "mes amis' maison"),
    ("what may I eat", "what can I eat"),
];

#[test]
fn every_trap_is_seen_by_its_rule() {
    for (a, b, rule) in TRAPS {
        let (a_facts, b_facts) = (Facts::of(a), Facts::of(b));
        assert!(a_facts.differs(&b_facts, *rule), "{rule:?}: {a} / {b}");
        assert!(verdict(a, b).is_err(), "{a} / {b}");
    }
}

#[test]
fn other_words_for_the_same_question_pass() {
    for (a, b) in PARAPHRASES {
        assert_eq!(verdict(a, b), Ok(()), "{a} / {b}");
    }
}

#[test]
fn every_rule_has_its_own_name() {
    let names: std::collections::HashSet<_> =
        Difference::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Difference::ALL.len());
    assert!(names.iter().all(|name| name.starts_with("guard_")));
}

proptest! {
    #[test]
    fn a_question_never_differs_from_itself_and_order_never_matters(a in "\\PC{0,120}", b in "\\PC{0,120}") {
        prop_assert_eq!(verdict(&a, &a), Ok(()));
        let _ = verdict(&a, &b);
    }

    #[test]
    fn questions_made_of_loaded_words_do_not_matter_in_order_either(
        a in proptest::collection::vec(proptest::sample::select(LOADED), 0..12),
        b in proptest::collection::vec(proptest::sample::select(LOADED), 0..12),
    ) {
        let (a, b) = (a.join(" "), b.join(" "));
        prop_assert_eq!(verdict(&a, &a), Ok(()));
        let _ = verdict(&a, &b);
    }

    #[test]
    fn another_number_is_always_another_question(a in 2u32..10_000, b in 2u32..10_000) {
        let ask = |n: u32| format!("How do I get {n} of them?");
        prop_assert_eq!(verdict(&ask(a), &ask(b)).is_ok(), a == b);
    }
}

const LOADED: &[&str] = &[
    "from", "to", "than", "Paris", "paris", "New", "York", "new", "not", "5", "five", "kg", "$",
    "before", "after", "'", "\"", "`", "who", "when", "my", "your", "you", "May", "hundred",
    "thousand", "-", "/", "+", "turn", "on", "off", "C++", "the", "不", "法国", "south", "korea",
    "US", "us", "Trump", "Donald", "```",
];
