//! Who is asking: a presented key becomes a client, or the reason why not.
//!
//! Keys are known by their SHA-256 only, and the lookup is an ordinary hash map over digests. That leaks nothing by
//! timing: what is compared is the digest of the guess, over which a guesser has no byte-wise control, and even a
//! digest learnt whole does not give back the key.
//!
//! SHA-256 without hardware for it is dear, so a key that was found good is remembered by its BLAKE3 digest under a random
//! secret of this process. No guesser can foresee that digest, let alone steer it; no key sits in memory after its
//! request; and what is remembered are at most as many digests as there are keys.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use crate::config::model::{Key, Priority, Tier};
use crate::util::headers::Headers;

/// The owner of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Name of the key, for logs and limits.
    pub name: String,
    /// Tenant it belongs to.
    pub tenant: String,
    /// Tier, where the file gives one.
    pub tier: Option<String>,
    /// Class in the queue: that of its tier, else `Normal`.
    pub priority: Priority,
}

/// What is known of the sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identified {
    /// No key is asked for.
    Open,
    /// The key is one of the file's.
    Known(Arc<Client>),
    /// A key is asked for and none was presented.
    Missing,
    /// The presented key is not one of the file's.
    Unknown,
}

/// The keys of one configuration.
pub struct KeyTable {
    clients: Option<HashMap<[u8; 32], Arc<Client>>>,
    /// `None` where the operating system has no random numbers: then nothing is remembered.
    secret: Option<[u8; 32]>,
    /// By digest under the secret, which nobody can steer.
    met: RwLock<HashMap<[u8; 32], Arc<Client>, foldhash::quality::RandomState>>,
}

impl KeyTable {
    /// A table of `keys`; `None` lets everybody in, an empty list nobody. Of two keys with one digest the first
    /// counts.
    #[must_use]
    pub fn new(keys: Option<&[Key]>, tiers: &[Tier]) -> Self {
        let clients = keys.map(|keys| {
            let mut clients = HashMap::with_capacity(keys.len());
            for key in keys {
                clients
                    .entry(key.sha256)
                    .or_insert_with(|| Arc::new(client(key, tiers)));
            }
            clients
        });
        let mut secret = [0; 32];
        let secret = getrandom::fill(&mut secret).is_ok().then_some(secret);
        Self {
            clients,
            secret,
            met: RwLock::default(),
        }
    }

    /// Whose key `presented` is, given what [`presented_key`] found.
    #[must_use]
    pub fn identify(&self, presented: Option<&str>) -> Identified {
        let Some(clients) = &self.clients else {
            return Identified::Open;
        };
        let Some(presented) = presented else {
            return Identified::Missing;
        };
        let short = |secret| *blake3::keyed_hash(secret, presented.as_bytes()).as_bytes();
        let short: Option<[u8; 32]> = self.secret.as_ref().map(short);
        if let Some(client) = short.and_then(|short| self.met.read().get(&short).cloned()) {
            return Identified::Known(client);
        }
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let Some(client) = clients.get(&digest) else {
            return Identified::Unknown;
        };
        if let Some(short) = short {
            self.met.write().insert(short, Arc::clone(client));
        }
        Identified::Known(Arc::clone(client))
    }
}

fn client(key: &Key, tiers: &[Tier]) -> Client {
    let tier = key
        .tier
        .as_ref()
        .and_then(|name| tiers.iter().find(|tier| tier.name == *name));
    Client {
        name: key.name.clone(),
        tenant: key.tenant.clone(),
        tier: key.tier.clone(),
        priority: tier.map_or(Priority::Normal, |tier| tier.priority),
    }
}

/// The key a request carries: `Authorization: Bearer`, else `x-api-key`, else `x-goog-api-key`. An empty or unreadable
/// value counts as absent, and so does another scheme, so that a later header may still hold the key.
#[must_use]
pub fn presented_key(headers: &Headers) -> Option<&str> {
    let plain = |name| headers.get_all(name).find_map(readable);
    headers
        .get_all(AUTHORIZATION)
        .find_map(bearer)
        .or_else(|| plain("x-api-key"))
        .or_else(|| plain("x-goog-api-key"))
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = readable(value)?.split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Some(key.trim())
}

fn readable(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?.trim();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str, secret: &str, tier: Option<&str>) -> Key {
        Key {
            name: name.into(),
            sha256: Sha256::digest(secret.as_bytes()).into(),
            tenant: "acme".into(),
            tier: tier.map(Into::into),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        let mut map = Headers::default();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        map
    }

    #[test]
    fn without_keys_everybody_is_let_in_and_with_an_empty_list_nobody() {
        let open = KeyTable::new(None, &[]);
        assert_eq!(open.identify(Some("anything")), Identified::Open);
        assert_eq!(open.identify(None), Identified::Open);
        let shut = KeyTable::new(Some(&[]), &[]);
        assert_eq!(shut.identify(Some("anything")), Identified::Unknown);
        assert_eq!(shut.identify(None), Identified::Missing);
    }

    #[test]
    fn a_key_gives_its_client_and_the_priority_of_its_tier() {
        let paid = Tier {
            name: "paid".into(),
            priority: Priority::High,
        };
        let keys = [
            key("web", "sk-1", Some("paid")),
            key("jobs", "sk-2", Some("free word")),
            key("bare", "sk-3", None),
        ];
        let table = KeyTable::new(Some(&keys), &[paid]);
        let priority = |secret| match table.identify(Some(secret)) {
            Identified::Known(client) => (client.name.clone(), client.priority),
            other => panic!("{secret} is {other:?}"),
        };
        assert_eq!(priority("sk-1"), ("web".into(), Priority::High));
        assert_eq!(priority("sk-2"), ("jobs".into(), Priority::Normal));
        assert_eq!(priority("sk-3"), ("bare".into(), Priority::Normal));
        assert_eq!(table.identify(Some("sk-4")), Identified::Unknown);
        assert_eq!(table.identify(Some("")), Identified::Unknown);
    }

    #[test]
    fn a_key_met_before_is_the_same_client_and_only_good_keys_are_remembered() {
        let table = KeyTable::new(
            Some(&[key("web", "sk-1", None), key("jobs", "sk-2", None)]),
            &[],
        );
        for _ in 0..3 {
            for (secret, name) in [
                ("sk-1", Some("web")),
                ("sk-2", Some("jobs")),
                ("sk-3", None),
                ("", None),
            ] {
                let known = match table.identify(Some(secret)) {
                    Identified::Known(client) => Some(client.name.clone()),
                    _ => None,
                };
                assert_eq!(known.as_deref(), name, "{secret}");
            }
        }
        assert_eq!(table.met.read().len(), 2);
    }

    #[test]
    fn without_random_numbers_keys_are_still_known() {
        let mut table = KeyTable::new(Some(&[key("web", "sk-1", None)]), &[]);
        table.secret = None;
        for _ in 0..2 {
            assert!(matches!(table.identify(Some("sk-1")), Identified::Known(_)));
        }
        assert!(table.met.read().is_empty());
    }

    #[test]
    fn a_key_is_found_in_each_header_that_clients_use() {
        let found = |pairs| presented_key(&headers(pairs)).map(str::to_owned);
        assert_eq!(found(&[("authorization", "Bearer a")]), Some("a".into()));
        assert_eq!(found(&[("authorization", "bEARER   a ")]), Some("a".into()));
        assert_eq!(found(&[("x-api-key", "b")]), Some("b".into()));
        assert_eq!(found(&[("x-goog-api-key", "c")]), Some("c".into()));
        let both = [("x-api-key", "b"), ("authorization", "Bearer a")];
        assert_eq!(found(&both), Some("a".into()));
    }

    #[test]
    fn what_is_not_a_key_does_not_hide_one() {
        let found = |pairs| presented_key(&headers(pairs)).map(str::to_owned);
        for other in ["Basic dTpw", "Bearer", "Bearer ", "", "Bearera"] {
            let mut map = headers(&[("x-api-key", "b")]);
            map.insert(AUTHORIZATION, HeaderValue::from_static(other));
            assert_eq!(presented_key(&map), Some("b"), "beside {other:?}");
        }
        assert_eq!(found(&[("authorization", "Basic dTpw")]), None);
        assert_eq!(found(&[("x-api-key", " ")]), None);
        assert_eq!(found(&[]), None);
    }

    proptest! {
        #[test]
        fn any_header_value_is_read_without_panic_and_never_gives_an_empty_key(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut map = Headers::default();
                map.insert(AUTHORIZATION, value.clone());
                map.append(HeaderName::from_static("x-api-key"), value);
                prop_assert_ne!(presented_key(&map), Some(""));
            }
        }
    }
}
