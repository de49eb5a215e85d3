//! Who may use the admin API.
//!
//! Where there is a token, everything under `/api/v1` asks for it: what is shown there is as private as what is done
//! there. Health and metrics never do. Without one, whoever reaches the listener may; but a page in an operator's browser
//! reaches loopback too, so what a page sends for another site is turned away.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use crate::config::model::Admin;

/// Lets a call in that shows the token, where there is one.
pub(super) fn admit(headers: &HeaderMap, conf: Option<&Admin>) -> Result<(), Refusal> {
    let Some(token) = conf.and_then(|admin| admin.token.as_ref()) else {
        return match headers.get(header::ORIGIN) {
            Some(origin) if !is_ours(origin, conf) => {
                let why = "pages of other sites may not call the admin API";
                Err(Refusal::new(StatusCode::FORBIDDEN, why))
            }
            _ => Ok(()),
        };
    };
    // Digests are compared: over their bytes a guesser has no say.
    let shown = headers.get_all(header::AUTHORIZATION).iter().any(|value| {
        let shown = value.to_str().ok().and_then(bearer);
        shown.is_some_and(|shown| Sha256::digest(shown.as_bytes()).as_slice() == token.sha256)
    });
    match shown {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "the admin API asks for its token: authorization: Bearer TOKEN",
        )),
    }
}

/// Whether a page comes from this very listener.
fn is_ours(origin: &HeaderValue, conf: Option<&Admin>) -> bool {
    let ours = conf.map(|admin| format!("http://{}", admin.address));
    ours.is_some_and(|ours| origin.as_bytes() == ours.as_bytes())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::model::AdminToken;

    fn conf(token: Option<&str>) -> Admin {
        Admin {
            address: "127.0.0.1:9090".parse().unwrap(),
            token: token.map(|token| AdminToken {
                file: PathBuf::new(),
                sha256: Sha256::digest(token).into(),
            }),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    fn admitted(token: Option<&str>, pairs: &[(&'static str, &'static str)]) -> bool {
        admit(&headers(pairs), Some(&conf(token))).is_ok()
    }

    #[test]
    fn without_a_token_all_are_let_in_but_pages_of_other_sites() {
        assert!(admitted(None, &[]));
        assert!(admitted(None, &[("origin", "http://127.0.0.1:9090")]));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9091"] {
            assert!(admit(&headers(&[]), Some(&conf(Some("t")))).is_err());
            let origin = HeaderValue::from_str(origin).unwrap();
            let headers = HeaderMap::from_iter([(header::ORIGIN, origin)]);
            assert!(admit(&headers, Some(&conf(None))).is_err());
        }
    }

    #[test]
    fn with_a_token_only_those_who_show_it() {
        assert!(admitted(Some("t"), &[("authorization", "Bearer t")]));
        assert!(admitted(Some("t"), &[("authorization", "bearer  t ")]));
        for wrong in ["Bearer", "Bearer ", "Bearer T", "Bearer tt", "t", "Basic t"] {
            assert!(!admitted(Some("t"), &[("authorization", wrong)]), "{wrong}");
        }
        assert!(!admitted(Some("t"), &[]));
    }
}
