//! `respond` and `redirect`: answers that no peer gives.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{StatusCode, Uri};

use super::header::{self, pairs};
use super::target::url_path;
use crate::config::model::{Redirect, Respond, Unavailable};
use crate::config::raw::{Leaf, RawRedirect, RawRespond, RawUnavailable};
use crate::config::units::Refusal;
use crate::config::validate::section::Section;

/// Stands for the request's host in a redirect's target.
const HOST: &str = "{host}";

pub(super) fn respond(mut s: Section<'_>, raw: &RawRespond) -> Respond {
    let status = status(&mut s, raw.status.as_ref());
    let mut headers = pairs(&mut s, "headers", raw.headers.as_ref(), header::changeable);
    let body = s.verbatim("body", raw.body.as_ref()).unwrap_or_default();
    let bodiless = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    if bodiless && !body.is_empty() {
        s.refuse(
            "body",
            raw.body.as_ref(),
            format!("{} has no body", status.as_u16()),
            "",
        );
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.push((CONTENT_TYPE, plain));
    }
    Respond {
        status,
        headers,
        body,
    }
}

/// What a model seems to say while no peer can be asked.
pub(super) fn unavailable(mut s: Section<'_>, raw: &RawUnavailable) -> Option<Unavailable> {
    let status = status(&mut s, raw.status.as_ref());
    if raw.text.is_none() {
        s.missing(
            "text",
            "what clients read, such as \"We will be back soon.\"",
        );
    }
    let text = s.verbatim("text", raw.text.as_ref())?;
    Some(Unavailable { text, status })
}

fn status(s: &mut Section<'_>, leaf: Option<&Leaf>) -> StatusCode {
    let status = s.read("status", leaf, |text| {
        let status = text
            .parse()
            .ok()
            .filter(|status| (200..600).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.ok_or_else(|| Refusal::new("must be a status from 200 to 599", "such as 404"))
    });
    status.unwrap_or(StatusCode::OK)
}

pub(super) fn redirect(mut s: Section<'_>, raw: &RawRedirect) -> Option<Redirect> {
    if raw.to.is_none() {
        s.missing("to", "such as https://example.com");
    }
    let keep_path = s.switch("keep_path", raw.keep_path.as_ref(), true);
    let to = s.read("to", raw.to.as_ref(), |text| {
        target(text)?;
        match keep_path {
            true if text.contains(['?', '#']) => Err(Refusal::new(
                "has a query or fragment, and the request's path would come after it",
                "write keep_path: off",
            )),
            true if text.bytes().all(|byte| byte == b'/') => Err(Refusal::new(
                "leads every request to itself",
                "name a host or another path, or write keep_path: off",
            )),
            _ => Ok(text.to_owned()),
        }
    });
    let status = s.read("status", raw.status.as_ref(), |text| match text {
        "301" => Ok(StatusCode::MOVED_PERMANENTLY),
        "302" => Ok(StatusCode::FOUND),
        "303" => Ok(StatusCode::SEE_OTHER),
        "307" => Ok(StatusCode::TEMPORARY_REDIRECT),
        "308" => Ok(StatusCode::PERMANENT_REDIRECT),
        _ => Err(Refusal::new(
            "must be one of 301, 302, 303, 307, 308",
            "leave it out for 308",
        )),
    });
    Some(Redirect {
        to: to?,
        status: status.unwrap_or(StatusCode::PERMANENT_REDIRECT),
        keep_path,
    })
}

/// An absolute `http` or `https` URL or a path.
fn target(text: &str) -> Result<(), Refusal> {
    const SUCH_AS: &str = "such as https://example.com, https://{host} or /new";
    let bad = |reason: &str| Err(Refusal::new(reason, SUCH_AS));
    if text.starts_with("//") || text.starts_with("/\\") {
        return bad("would be read as a host, not as a path");
    }
    // A fragment is not part of what `Uri` reads.
    let sample = text.replace(HOST, "host");
    let (sample, fragment) = sample.split_once('#').unwrap_or((&sample, ""));
    let clean = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
    };
    if !clean(sample) || !clean(fragment) {
        return bad("has characters that a URL cannot have");
    }
    if text.starts_with('/') {
        return url_path(sample).map(drop);
    }
    match sample.parse::<Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) => match uri.authority() {
            Some(authority)
                if !authority.as_str().contains('@') && !authority.host().is_empty() =>
            {
                Ok(())
            }
            _ => bad("has no plain host"),
        },
        _ => bad("is neither an http or https URL nor a path"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_targets() {
        for text in [
            "https://example.com",
            "http://[::1]:8080/x",
            "https://{host}:8443/a?b=c#d",
            "/new",
            "/new?x=1#y",
        ] {
            assert_eq!(target(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_would_lead_astray_is_no_target() {
        for text in [
            "",
            "example.com",
            "new",
            "//example.com",
            "/\\example.com",
            "ftp://example.com",
            "javascript:alert(1)",
            "https://",
            "https://user@example.com",
            "https://a b",
            "/a b",
            "https://{path}",
            "https://example.com/\r\nx: y",
        ] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
