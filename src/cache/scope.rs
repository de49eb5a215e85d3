//! Who may get whose answers: the first part of every key.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::config::model::Scope;

/// Who asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// Name of the configured key that the client showed.
    pub key: Option<&'a str>,
    /// Tenant of that key.
    pub tenant: Option<&'a str>,
    /// The credential as the client sent it, where no keys are configured: the peers may still tell clients apart by it.
    pub credential: Option<&'a [u8]>,
}

/// The part of a key that stands for everybody who shares answers with this caller. Without configured keys, callers
/// with the same credential do, and so do those without any.
#[must_use]
pub fn partition(scope: Scope, caller: &Caller<'_>) -> String {
    let own = || match (caller.key, caller.credential) {
        // With its tenant: a name that goes over to another tenant must not bring answers along.
        (Some(key), _) => {
            let tenant = part(caller.tenant.unwrap_or_default());
            ["key:", &tenant, "/", &part(key)].concat()
        }
        (None, Some(credential)) => {
            let hash: [u8; 32] = Sha256::digest(credential).into();
            hash.iter().fold("credential:".to_owned(), |text, byte| {
                text + &format!("{byte:02x}")
            })
        }
        (None, None) => "anonymous".to_owned(),
    };
    match scope {
        Scope::Key => own(),
        Scope::Tenant => caller
            .tenant
            .map_or_else(own, |tenant| ["tenant:", tenant].concat()),
        Scope::Global => "global".to_owned(),
    }
}

/// A name as one side of a slash.
fn part(name: &str) -> Cow<'_, str> {
    match name.contains(['/', '%']) {
        true => Cow::Owned(name.replace('%', "%25").replace('/', "%2F")),
        false => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: Caller<'_> = Caller {
        key: Some("acme-web"),
        tenant: Some("acme"),
        credential: None,
    };
    const ACME_2: Caller<'_> = Caller {
        key: Some("acme-batch"),
        tenant: Some("acme"),
        credential: None,
    };
    const OTHER: Caller<'_> = Caller {
        key: Some("acme"),
        tenant: Some("other"),
        credential: None,
    };

    fn share(scope: Scope, a: &Caller<'_>, b: &Caller<'_>) -> bool {
        partition(scope, a) == partition(scope, b)
    }

    #[test]
    fn each_scope_shares_as_far_as_it_says() {
        assert!(!share(Scope::Key, &ACME, &ACME_2) && share(Scope::Key, &ACME, &ACME));
        assert!(share(Scope::Tenant, &ACME, &ACME_2) && !share(Scope::Tenant, &ACME, &OTHER));
        assert!(share(Scope::Global, &ACME, &OTHER));
    }

    #[test]
    fn a_name_that_goes_over_to_another_tenant_brings_nothing_along() {
        let moved = Caller {
            tenant: Some("other"),
            ..ACME
        };
        assert!(!share(Scope::Key, &ACME, &moved));
    }

    #[test]
    fn no_two_pairs_of_names_read_alike() {
        let of = |tenant: &'static str, key: &'static str| Caller {
            key: Some(key),
            tenant: Some(tenant),
            credential: None,
        };
        let pairs = [
            ("a/b", "c"),
            ("a", "b/c"),
            ("a%2Fb", "c"),
            ("a", "b%2Fc"),
            ("", "a/b/c"),
        ];
        for (n, a) in pairs.iter().enumerate() {
            for b in &pairs[..n] {
                assert!(
                    !share(Scope::Key, &of(a.0, a.1), &of(b.0, b.1)),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_and_a_tenant_of_one_name_are_not_the_same() {
        assert_ne!(
            partition(Scope::Tenant, &ACME),
            partition(Scope::Key, &OTHER)
        );
    }

    #[test]
    fn without_configured_keys_credentials_separate() {
        let with = |credential: &'static [u8]| Caller {
            credential: Some(credential),
            ..Caller::default()
        };
        for scope in [Scope::Key, Scope::Tenant] {
            assert!(share(scope, &with(b"Bearer a"), &with(b"Bearer a")));
            assert!(!share(scope, &with(b"Bearer a"), &with(b"Bearer b")));
            assert!(!share(scope, &with(b"Bearer a"), &Caller::default()));
            assert!(share(scope, &Caller::default(), &Caller::default()));
        }
    }

    #[test]
    fn the_credential_itself_is_never_shown() {
        let caller = Caller {
            credential: Some(b"Bearer secret"),
            ..Caller::default()
        };
        assert!(!partition(Scope::Key, &caller).contains("secret"));
    }
}
