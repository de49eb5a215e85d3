use super::*;
use proptest::prelude::*;

fn answer(source: Source, peer: Option<&str>) -> Answer {
    Answer {
        status: 200,
        source,
        peer: peer.map(str::to_owned),
        attempts: 1,
        first: Duration::from_micros(412_300),
        total: Duration::from_micros(1_023_000),
        text: String::new(),
    }
}

const PLAIN: Screen = Screen { colour: false };

#[test]
fn every_kind_of_row_lines_up_with_the_head() {
    let rows = [
        answer(Source::Miss, Some("engine-1")),
        answer(Source::Hit, None),
        answer(Source::SemanticHit(0.8671), None),
        Answer {
            attempts: 2,
            ..answer(Source::Miss, Some("engine-2"))
        },
        Answer {
            status: 503,
            ..answer(Source::Other, None)
        },
    ]
    .map(|answer| PLAIN.row_text("How do I reset my password?", Form::Stream, &Ok(answer)));
    assert_eq!(
        rows,
        [
            "  How do I reset my password?      stream  MISS               engine-1              412 ms   1.02 s",
            "  How do I reset my password?      stream  HIT                -                     412 ms   1.02 s",
            "  How do I reset my password?      stream  SEMANTIC_HIT 0.87  -                     412 ms   1.02 s",
            "  How do I reset my password?      stream  MISS               engine-2, try 2       412 ms   1.02 s",
            "  How do I reset my password?      stream  status 503         -                     412 ms   1.02 s",
        ]
    );
    let head = cells(HEAD.map(str::to_owned)).join("  ");
    assert_eq!(head.chars().count() + 2, rows[0].chars().count());
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let answer = Ok(answer(Source::SemanticHit(0.9), None));
    let coloured = Screen { colour: true }.row_text("Why?", Form::Json, &answer);
    assert!(coloured.contains("\x1b[36mSEMANTIC_HIT 0.90\x1b[0m"));
    let mut bare = coloured;
    for code in ["\x1b[0m", "\x1b[2m", "\x1b[36m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, PLAIN.row_text("Why?", Form::Json, &answer));
}

#[test]
fn a_failure_tells_its_reason_in_place_of_the_answer() {
    let row = PLAIN.row_text("Why?", Form::Json, &Err("no answer: refused".to_owned()));
    assert_eq!(row, format!("  {:31}  JSON    no answer: refused", "Why?"));
}

#[test]
fn times_are_written_as_people_read_them() {
    let written =
        [640, 9_990, 9_996, 412_300, 999_600, 12_340_000].map(|us| time(Duration::from_micros(us)));
    assert_eq!(
        written,
        ["0.64 ms", "9.99 ms", "10 ms", "412 ms", "1.00 s", "12.34 s"]
    );
}

proptest! {
    #[test]
    fn no_row_is_wider_than_a_hundred_characters(
        question in "\\PC{0,80}", peer in "[a-z0-9.:-]{0,40}", similarity in 0.0..1.0, attempts in 1_u32..100, ms in 0_u64..3_600_000,
    ) {
        let answer = Answer {
            attempts,
            first: Duration::from_millis(ms),
            total: Duration::from_millis(ms),
            ..answer(Source::SemanticHit(similarity), Some(&peer))
        };
        let row = PLAIN.row_text(&question, Form::Stream, &Ok(answer));
        prop_assert!(row.chars().count() <= 100, "{row}");
    }
}
