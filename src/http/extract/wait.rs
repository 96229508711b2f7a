//! Waiting (contract: "Waiting"): `Prefer: wait=N` (RFC 7240 §4.3) or `?wait=N`, and the version that the caller
//! knows by `If-None-Match` or `?after=`.

use std::time::Duration;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderName};

use super::{Query, single};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest wait, in seconds: a longer one is this one.
const WAIT_MAX: u32 = 30;

/// How a caller wants to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::http) struct Waiting {
    /// How long; `None`: not at all.
    pub(in crate::http) wait: Option<Duration>,
    /// The version that the caller has seen; `None`: the one at arrival.
    pub(in crate::http) after: Option<u32>,
    /// Seconds to confirm in `Preference-Applied`, where the header asked.
    pub(in crate::http) applied: Option<u64>,
}

impl Waiting {
    /// Reads only how long to wait.
    pub(in crate::http) fn length(headers: &HeaderMap, query: &mut Query) -> Self {
        let by_query = query.take("wait").and_then(|text| {
            let wait = seconds(&text);
            if wait.is_none() {
                query.refuse("wait", "range", "must be a whole number of seconds from 1");
            }
            wait
        });
        let by_header = preference(headers).and_then(|text| {
            let wait = seconds(&text);
            if wait.is_none() {
                query.refuse_header("Prefer", "range", "wait must be a whole number of seconds from 1");
            }
            wait
        });
        let applied = by_header.filter(|_| by_query.is_none());
        Self { wait: by_query.or(by_header).map(Duration::from_secs), after: None, applied }
    }

    /// Reads how long to wait and from which version on.
    pub(in crate::http) fn of(headers: &HeaderMap, query: &mut Query) -> Self {
        let by_query = query.take("after").and_then(|text| {
            let version = text.parse().ok();
            if version.is_none() {
                query.refuse("after", "type", "must be a version of the login");
            }
            version
        });
        let by_header = match single(headers, &IF_NONE_MATCH) {
            Ok(None) => None,
            Ok(Some(value)) => {
                let version = value.to_str().ok().and_then(version_of_tag);
                if version.is_none() {
                    query.refuse_header("If-None-Match", "type", "must be one ETag of the login");
                }
                version
            }
            Err(()) => {
                query.refuse_header("If-None-Match", "type", "must be one ETag of the login");
                None
            }
        };
        Self { after: by_query.or(by_header), ..Self::length(headers, query) }
    }
}

/// The version that a reconnecting event stream has seen last. Anything that is none counts as none: the stream then
/// begins with the present state, which is always right.
pub(in crate::http) fn last_event_id(headers: &HeaderMap) -> Option<u32> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

/// Whole seconds from 1, at most [`WAIT_MAX`].
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.trim_start_matches('0');
    (digits && !number.is_empty()).then(|| u64::from(number.parse().unwrap_or(WAIT_MAX).min(WAIT_MAX)))
}

/// The value of the `wait` preference: the first counts (RFC 7240 §2); other preferences are not ours.
fn preference(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| {
            let token = preference.split(';').next().unwrap_or_default();
            let (name, value) = token.split_once('=').unwrap_or((token, ""));
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').to_owned())
        })
}

fn version_of_tag(tag: &str) -> Option<u32> {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;

    use super::*;

    async fn read(target: &str, headers: &[(&str, &str)]) -> Result<Waiting, Vec<String>> {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("request").into_parts();
        let Ok(mut query) = Query::from_request_parts(&mut parts, &()).await;
        let waiting = Waiting::of(&parts.headers, &mut query);
        let errors: Vec<_> = query.errors().iter().map(|error| error.pointer.clone()).collect();
        if errors.is_empty() { Ok(waiting) } else { Err(errors) }
    }

    fn waiting(wait: Option<u64>, after: Option<u32>, applied: Option<u64>) -> Waiting {
        Waiting { wait: wait.map(Duration::from_secs), after, applied }
    }

    #[tokio::test]
    async fn both_spellings_of_a_wait() {
        assert_eq!(read("/", &[]).await, Ok(waiting(None, None, None)));
        assert_eq!(read("/?wait=5&after=3", &[]).await, Ok(waiting(Some(5), Some(3), None)));
        assert_eq!(
            read("/", &[("prefer", "respond-async, wait=25"), ("if-none-match", "\"7\"")]).await,
            Ok(waiting(Some(25), Some(7), Some(25)))
        );
        assert_eq!(
            read("/", &[("prefer", "handling=lenient"), ("prefer", "Wait = \"10\"; x=y")]).await,
            Ok(waiting(Some(10), None, Some(10)))
        );
        assert_eq!(read("/", &[("if-none-match", "W/\"2\"")]).await, Ok(waiting(None, Some(2), None)));
        assert_eq!(read("/?wait=5", &[("prefer", "wait=9")]).await, Ok(waiting(Some(5), None, None)));
    }

    #[tokio::test]
    async fn more_than_30_is_30_and_less_than_1_is_refused() {
        for more in ["31", "3600", "99999999999999999999999"] {
            assert_eq!(
                read(&format!("/?wait={more}"), &[]).await,
                Ok(waiting(Some(30), None, None)),
                "{more}"
            );
        }
        for bad in ["0", "00", "-1", "", "1.5", "soon"] {
            assert_eq!(read(&format!("/?wait={bad}"), &[]).await, Err(vec!["?wait".to_owned()]), "{bad}");
            let prefer = format!("wait={bad}");
            assert_eq!(read("/", &[("prefer", &prefer)]).await, Err(vec!["Prefer".to_owned()]), "{bad}");
        }
        assert_eq!(read("/", &[("prefer", "wait")]).await, Err(vec!["Prefer".to_owned()]));
    }

    #[tokio::test]
    async fn a_version_that_is_none_is_refused() {
        assert_eq!(read("/?after=x", &[]).await, Err(vec!["?after".to_owned()]));
        for bad in ["*", "3", "\"x\"", "\"1\", \"2\""] {
            let refused = Err(vec!["If-None-Match".to_owned()]);
            assert_eq!(read("/", &[("if-none-match", bad)]).await, refused, "{bad}");
        }
    }

    #[test]
    fn a_last_event_id_that_is_none_counts_as_absent() {
        let of = |text: &'static str| {
            last_event_id(&HeaderMap::from_iter([(LAST_EVENT_ID, http::HeaderValue::from_static(text))]))
        };
        assert_eq!(of("4"), Some(4));
        assert_eq!(of("four"), None);
    }
}
