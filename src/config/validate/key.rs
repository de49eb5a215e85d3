//! `keys`: known by their hash only, given as such or made from a file at load.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::section::Section;
use crate::config::model::Key;
use crate::config::raw::{List, RawKey};
use crate::config::units::Refusal;

/// Longest key, in bytes: it has to fit a header.
const LONGEST: u64 = 8 << 10;

pub(super) fn keys(mut s: Section<'_>, raw: Option<&List<RawKey>>) -> Option<Vec<Key>> {
    let raw = raw?;
    let mut list = s.key("keys");
    if raw.is_empty() {
        list.refuse_all(
            "has no key, so nobody gets in",
            "leave it out to ask for none",
        );
    }
    let (mut by_name, mut by_hash) = (HashMap::new(), HashMap::new());
    let mut keys = Vec::with_capacity(raw.len());
    for (n, raw) in raw.iter().enumerate() {
        let mut s = list.index(n);
        let Some(raw) = raw else { continue };
        let Some(key) = key(&mut s, raw) else {
            continue;
        };
        if let Some(first) = by_name.insert(key.name.clone(), n) {
            s.refuse(
                "name",
                raw.name.as_ref(),
                format!("keys[{first}] has this name"),
                "",
            );
        }
        if let Some(first) = by_hash.insert(key.sha256, n) {
            let (at, leaf) = match &raw.sha256 {
                Some(leaf) => ("sha256", Some(leaf)),
                None => ("key_file", raw.key_file.as_ref()),
            };
            s.refuse(at, leaf, format!("keys[{first}] is the same key"), "");
        }
        keys.push(key);
    }
    Some(keys)
}

fn key(s: &mut Section<'_>, raw: &RawKey) -> Option<Key> {
    if raw.name.is_none() {
        s.missing("name", "for logs and limits");
    }
    let name = s.name("name", raw.name.as_ref());
    let tenant = s.name("tenant", raw.tenant.as_ref());
    let tier = s.name("tier", raw.tier.as_ref());
    let hash = match (&raw.sha256, &raw.key_file) {
        (Some(_), Some(_)) => {
            s.refuse(
                "key_file",
                raw.key_file.as_ref(),
                "stands beside `sha256`",
                "give one of them",
            );
            None
        }
        (None, None) => {
            s.missing(
                "sha256",
                "the output of: printf %s KEY | sha256sum; or give key_file",
            );
            None
        }
        (Some(_), None) => s.read("sha256", raw.sha256.as_ref(), hex),
        (None, Some(_)) => {
            let path = s.path("key_file", raw.key_file.as_ref());
            path.and_then(|path| s.read("key_file", raw.key_file.as_ref(), |_| hash_of_file(&path)))
        }
    };
    let (name, sha256) = (name?, hash?);
    Some(Key {
        tenant: tenant.unwrap_or_else(|| name.clone()),
        name,
        sha256,
        tier,
    })
}

fn hex(text: &str) -> Result<[u8; 32], Refusal> {
    let refusal = |reason: String| Refusal::new(reason, "the output of: printf %s KEY | sha256sum");
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() == 64) else {
        return Err(refusal("must be 64 hexadecimal digits".to_owned()));
    };
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair
            .iter()
            .fold(0, |byte, digit| (byte << 4) | *digit as u8);
    }
    // What `sha256sum` prints when it was fed nothing: whoever sends an empty key would be let in.
    match hash == Sha256::digest([]).as_slice() {
        true => Err(refusal("is the hash of an empty key".to_owned())),
        false => Ok(hash),
    }
}

/// Spaces and line ends around the key are not part of it: no header could carry them.
pub(super) fn hash_of_file(path: &Path) -> Result<[u8; 32], Refusal> {
    let unreadable = |error: std::io::Error| Refusal::new(format!("cannot be read: {error}"), "");
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    match text.trim() {
        _ if text.len() as u64 > LONGEST => {
            Err(Refusal::new("is too long for a key", "at most 8 KiB"))
        }
        "" => Err(Refusal::new("is an empty file", "write the key into it")),
        key if key.chars().any(|c| c.is_control() || c.is_whitespace()) => Err(Refusal::new(
            "has more than one word or line",
            "the key alone",
        )),
        key => Ok(Sha256::digest(key).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn a_hash_is_read_in_either_case() {
        let expected: [u8; 32] = Sha256::digest("secret").into();
        assert_eq!(hex(OF_SECRET), Ok(expected));
        assert_eq!(hex(&OF_SECRET.to_uppercase()), Ok(expected));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "secret", &OF_SECRET[1..], &OF_SECRET.replace('b', "x")] {
            assert!(
                hex(text).unwrap_err().reason.contains("64 hexadecimal"),
                "{text}"
            );
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(hex(empty).unwrap_err().reason.contains("empty key"));
    }

    #[test]
    fn a_key_from_a_file_is_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let hash = |content: &str| {
            std::fs::write(&path, content).unwrap();
            hash_of_file(&path)
        };
        assert_eq!(hash("secret\n"), hex(OF_SECRET));
        assert_eq!(hash(" secret\r\n\r\n"), hex(OF_SECRET));
        assert!(hash("").is_err() && hash(" \n").is_err() && hash("two\nlines").is_err());
        assert!(hash(&"x".repeat(9000)).is_err());
        assert!(
            hash_of_file(&dir.path().join("none"))
                .unwrap_err()
                .reason
                .contains("cannot be read")
        );
    }
}
