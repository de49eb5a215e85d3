//! The same request written in another way has the same key; a request that differs anywhere has another.

#![no_main]

use bytes::Bytes;
use fastrand::Rng;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate::cache::key::{Identity, KeyParts, Unkeyable};
use tollgate::llm::{Endpoint, RequestView};
use tollgate_fuzz::seeded;

/// Fields that do not change an answer.
const IGNORED: [&str; 5] = ["cache", "metadata", "stream", "stream_options", "user"];

fn identity(endpoint: Endpoint, body: &[u8]) -> Option<Result<Identity, Unkeyable>> {
    let view = RequestView::parse(endpoint, &Bytes::copy_from_slice(body)).ok()?;
    let question = view.last_user_text();
    Some(Identity::of(&KeyParts {
        partition: &["scope", endpoint.path()],
        body: &view.body,
        question: question.as_deref(),
    }))
}

fn blank(random: &mut Rng) -> &'static str {
    ["", "", "", " ", "\n", "\t\r\n "][random.usize(0..6)]
}

/// Writes a string with some of its characters escaped.
fn write_text(text: &str, random: &mut Rng, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let mut units = [0; 2];
        if matches!(c, '"' | '\\') || c < ' ' || random.u8(..) < 8 {
            for unit in c.encode_utf16(&mut units) {
                *out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

/// Writes the same value with its keys in another order, other blanks and other escapes.
fn rewrite(value: &Value, random: &mut Rng, out: &mut String) {
    *out += blank(random);
    match value {
        Value::String(text) => write_text(text, random, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                *out += if n > 0 { "," } else { "" };
                rewrite(item, random, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            random.shuffle(&mut fields);
            out.push('{');
            for (n, (name, item)) in fields.into_iter().enumerate() {
                *out += if n > 0 { "," } else { "" };
                *out += blank(random);
                write_text(name, random, out);
                *out += blank(random);
                out.push(':');
                rewrite(item, random, out);
            }
            out.push('}');
        }
        other => *out += &other.to_string(),
    }
    *out += blank(random);
}

/// Changes one value somewhere below.
fn change(value: &mut Value, random: &mut Rng) {
    match value {
        Value::Array(items) if !items.is_empty() && random.u8(..) < 240 => {
            let at = random.usize(..items.len());
            change(&mut items[at], random);
        }
        Value::Object(fields) if !fields.is_empty() && random.u8(..) < 240 => {
            let at = random.usize(..fields.len());
            if let Some((_, field)) = fields.iter_mut().nth(at) {
                change(field, random);
            }
        }
        Value::Array(items) => items.push(Value::Null),
        Value::Object(fields) => {
            let name = format!("new{}", fields.len());
            let taken = fields.insert(name, Value::Null);
            if taken.is_some() {
                fields.insert("newer still".to_owned(), Value::from(random.u64(..)));
            }
        }
        Value::Null => *value = false.into(),
        Value::Bool(flag) => *value = (!*flag).into(),
        Value::Number(number) => *value = number.to_string().into(),
        Value::String(text) if text.is_empty() => *value = Value::Null,
        Value::String(text) => {
            text.pop();
        }
    }
}

/// The first text of the last turn.
fn last_text(body: &mut Value) -> Option<&mut Value> {
    let turns = ["messages", "input", "prompt"];
    let name = turns.iter().find(|name| body.get(**name).is_some())?;
    match &mut body[*name] {
        text @ Value::String(_) => Some(text),
        Value::Array(items) => match items.last_mut()?.get_mut("content")? {
            text @ Value::String(_) => Some(text),
            Value::Array(parts) => parts.first_mut()?.get_mut("text"),
            _ => None,
        },
        _ => None,
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((mut random, body)) = seeded(input) else {
        return;
    };
    let Ok(plain) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    for endpoint in Endpoint::ALL {
        let Some(Ok(first)) = identity(endpoint, body) else {
            continue;
        };
        let mut again = String::new();
        rewrite(&plain, &mut random, &mut again);
        let again = identity(endpoint, again.as_bytes());
        assert_eq!(again, Some(Ok(first.clone())), "written differently");

        let mut other = plain.clone();
        if let Some(fields) = other.as_object_mut() {
            fields.retain(|name, _| !IGNORED.contains(&name.as_str()));
        }
        let kept = identity(endpoint, other.to_string().as_bytes());
        assert_eq!(kept, Some(Ok(first.clone())), "without what does not count");
        change(&mut other, &mut random);
        if let Some(Ok(changed)) = identity(endpoint, other.to_string().as_bytes()) {
            assert_ne!(changed.exact, first.exact, "changed to {other}");
        }

        if first.question.is_some() {
            let mut asked = plain.clone();
            let last = last_text(&mut asked).expect("it was asked before");
            *last = format!("{} and more", last.as_str().unwrap_or("")).into();
            let asked = identity(endpoint, asked.to_string().as_bytes());
            let asked = asked.and_then(Result::ok).expect("still a request");
            assert_eq!(asked.compat, first.compat, "another question");
            assert_ne!(asked.exact, first.exact, "another question");
        }
    }
});
