//! The path by which an operator reads the profile that serves, and puts another in its place.
//!
//! | request | meaning | status |
//! |---|---|---|
//! | `GET /admin/profile` | the effective values as TOML; `ETag` is their identity | 200 |
//! | `POST /admin/profile`, with `If-Match: "IDENTITY"` | the body takes the place of the profile's file | 200 when it serves |
//! | `POST /admin/profile?dry_run=true` | what that would change; nothing is touched | 200 when it could serve |
//! | `POST /admin/profile?dry_run=true&folder=PATH` | the same with relative `extends` from another folder | the same |
//!
//! Otherwise: 400 for what is no UTF-8, 409 for what is refused with reasons, 412 with the identity that serves when
//! another one was named, 413 above the bound on profiles, 428 when none was named.
//!
//! A request with `Origin` is refused, as for self-tests; and so is posting where other hosts reach the listener.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{ALLOW, CONTENT_TYPE, ETAG, IF_MATCH, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use profile::{Identity, TEXT_BYTES_MAX};
use serde_json::json;

use crate::answers::Answers;
use crate::caller::check_caller;
use crate::orders::{Posting, Profiles, Serving, Told};
use crate::pace::Pace;

/// Where it is asked for.
pub(crate) const PATH: &str = "/admin/profile";
/// Most bytes that are read of a body that nobody wants.
const DISCARDED_BYTES_MAX: usize = 8 << 20;

impl Answers {
    /// The answer to a request of this path.
    pub(crate) async fn profile<B>(
        &self,
        head: &Request<()>,
        mut body: B,
        pace: &Pace,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        if head.method() == Method::GET {
            return self.show_profile();
        }
        let posting = match self.read_posting(head) {
            Ok(posting) => check_caller(head).await.map(|()| posting),
            Err(refused) => Err(refused),
        };
        let told = match posting {
            Ok((profiles, posting)) => self.post_profile(profiles, posting, &mut body, pace).await,
            Err(refused) => refused,
        };
        if !body.is_end_stream() {
            pace.body_begins();
            discard(body).await;
            pace.request_ended();
        }
        let tag = told.body["identity"].as_str().and_then(tag);
        let mut response = told.into_response();
        if let Some(tag) = tag {
            response.headers_mut().insert(ETAG, tag);
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }

    fn show_profile(&self) -> Response<Full<Bytes>> {
        let Serving { toml, identity } = (self.sources.serving)();
        let mut response = Response::new(Full::new(toml));
        let kind = HeaderValue::from_static("application/toml; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        if let Some(tag) = tag(&identity.to_string()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }

    /// What the head of a request asks for, before anything of its body is read.
    fn read_posting(&self, head: &Request<()>) -> Result<(Arc<dyn Profiles>, Posting), Told> {
        let refused = |status, sentence: &str| Told::refused(status, sentence);
        if head.headers().contains_key(ORIGIN) {
            let sentence = "No web page may change the profile.";
            return Err(refused(StatusCode::FORBIDDEN, sentence));
        }
        if head.method() != Method::POST {
            let sentence = "Only GET, which shows the profile, and POST, which changes it.";
            return Err(refused(StatusCode::METHOD_NOT_ALLOWED, sentence));
        }
        let Some(profiles) = &self.sources.profiles else {
            let sentence = "No profile is taken here: other hosts reach this listener, or control.allow_profile is \
                            false; change the profile's file instead.";
            return Err(refused(StatusCode::FORBIDDEN, sentence));
        };
        let Some(posting) = dry_run(head.uri().query())? else {
            let serves = (self.sources.serving)().identity;
            let seen = seen(head.headers(), serves)?;
            return Ok((Arc::clone(profiles), Posting::Take { seen }));
        };
        Ok((Arc::clone(profiles), posting))
    }

    async fn post_profile<B>(
        &self,
        profiles: Arc<dyn Profiles>,
        posting: Posting,
        body: &mut B,
        pace: &Pace,
    ) -> Told
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
    {
        // Held until the text is gone. The semaphore is never closed.
        let _place = self.texts.acquire().await;
        pace.body_begins();
        let collected = Limited::new(body, TEXT_BYTES_MAX as usize).collect().await;
        pace.request_ended();
        let bytes = match collected {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let sentence = format!("A profile has {TEXT_BYTES_MAX} bytes at most.");
                return Told::refused(StatusCode::PAYLOAD_TOO_LARGE, sentence);
            }
            Err(_) => {
                let sentence = "The body did not come to its end.";
                return Told::refused(StatusCode::BAD_REQUEST, sentence);
            }
        };
        match String::from_utf8(bytes.into()) {
            Ok(text) => profiles.post(text, posting).await,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let sentence = format!("A profile is UTF-8; byte {at} of this one is not.");
                Told::refused(StatusCode::BAD_REQUEST, sentence)
            }
        }
    }
}

/// Reads on what nobody wants: who still writes when its connection is closed does not see the answer.
async fn discard<B: Body + Unpin>(mut body: B) {
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Buf::remaining);
        left = left.saturating_sub(bytes);
        if left == 0 {
            break;
        }
    }
}

/// What a query says of a dry run; `None` when there is none.
fn dry_run(query: Option<&str>) -> Result<Option<Posting>, Told> {
    let Some(query) = query else { return Ok(None) };
    let folder = match query.strip_prefix("dry_run=true") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix("&folder=").and_then(decoded).map(Some),
        None => None,
    };
    let folder = folder.filter(|folder| folder.as_ref().is_none_or(|folder| folder.is_absolute()));
    folder.map(|folder| Some(Posting::Try { folder })).ok_or_else(|| {
        let sentence = "Write ?dry_run=true, with &folder=/PATH if you like, or nothing.";
        Told::refused(StatusCode::BAD_REQUEST, sentence)
    })
}

/// A path with its escapes undone.
fn decoded(text: &str) -> Option<PathBuf> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(|path| path.as_ref().into())
}

/// The identity that a writer has seen, which is what serves.
fn seen(headers: &HeaderMap, serves: Identity) -> Result<Identity, Told> {
    let refused = |status, sentence: &str| Told {
        status,
        body: json!({ "error": sentence, "identity": serves }),
    };
    let mut named = headers.get_all(IF_MATCH).iter();
    let Some(first) = named.next() else {
        let sentence =
            "Name the profile that you have seen: If-Match with the ETag of /admin/profile.";
        return Err(refused(StatusCode::PRECONDITION_REQUIRED, sentence));
    };
    let quoted = first.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
    let is_current = quoted.is_some_and(|tag| tag.parse() == Ok(serves));
    if is_current && named.next().is_none() {
        return Ok(serves);
    }
    let sentence = "Another profile serves than the one that If-Match names; look at it again.";
    Err(refused(StatusCode::PRECONDITION_FAILED, sentence))
}

/// An identity as `ETag`.
fn tag(identity: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{identity}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_may_say_from_where_relative_bases_are_read() {
        let folder = |query| dry_run(query).map_err(|told| told.status.as_u16());
        assert_eq!(folder(None), Ok(None));
        assert_eq!(folder(Some("dry_run=true")), Ok(Some(Posting::Try { folder: None })));
        let expected = Posting::Try { folder: Some("/srv/my profiles".into()) };
        assert_eq!(folder(Some("dry_run=true&folder=/srv/my%20profiles")), Ok(Some(expected)));
        for wrong in ["", "dry_run", "dry_run=false", "dry_run=true&", "dry_run=true&folder=a"] {
            assert_eq!(folder(Some(wrong)), Err(400), "{wrong}");
        }
    }

    #[test]
    fn a_writer_names_what_serves_and_nothing_else() {
        let serves: Identity = "0a".repeat(32).parse().expect("an identity");
        let status = |tags: &[&str]| {
            let mut headers = HeaderMap::new();
            for tag in tags {
                headers.append(IF_MATCH, HeaderValue::from_str(tag).expect("a value"));
            }
            seen(&headers, serves)
                .map_err(|told| (told.status.as_u16(), told.body["identity"].clone()))
        };
        let quoted = format!("\"{serves}\"");
        assert_eq!(status(&[&quoted]), Ok(serves));
        assert_eq!(status(&[]), Err((428, json!(serves))));
        let weak = format!("W/{quoted}");
        let bare = serves.to_string();
        let other = format!("\"{}\"", "0b".repeat(32));
        for wrong in [&[&*other][..], &[&weak], &[&bare], &["*"], &["\""], &[&quoted, &quoted]] {
            assert_eq!(status(wrong), Err((412, json!(serves))), "{wrong:?}");
        }
    }
}
