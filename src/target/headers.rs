//! Which headers go on (contract: "Targets"). End-to-end headers do, in both directions; what is for one connection only
//! (RFC 9110 §7.6.1), what says who the caller is to Relais, and what would speak for Relais do not.
//!
//! - `Connection` takes the headers that it names along.
//! - Whatever is no letter or digit counts as a hyphen: servers that hand headers on as CGI does read `X_Forwarded_For` and
//!   `X.Forwarded.For` as `X-Forwarded-For` (R-F-08).
//! - Bodies are framed anew: neither `Content-Length` nor `Transfer-Encoding` is copied, so none contradicts the other.
//! - `Expect` ends here: the caller gets its `100 Continue` when its body is first asked for, which is when everything of
//!   Relais's own has been decided; the target is sent the body without asking.

mod names;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body;

use crate::engine::ports::{TargetBody, TargetHead};
use names::{HOP_BY_HOP, OF_ANSWER, OF_FRONTS, OF_RELAIS, OF_REQUEST, TO_CACHES, TO_FRONTS};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The headers of a call, but for `Authorization` and what frames the body.
pub(super) fn of_request(head: &TargetHead, body: &TargetBody) -> HeaderMap {
    let named = named_by_connection(&head.headers);
    // Its trace begins here: where it came from is no part of it.
    let is_new_trace = !head.headers.get_all(TRACEPARENT).iter().eq([&head.traceparent]);
    let mut kept = HeaderMap::new();
    for (name, value) in &head.headers {
        let plain = plain(name.as_str());
        let is_dropped = HOP_BY_HOP.contains(&&*plain)
            || OF_REQUEST.contains(&&*plain)
            || plain.starts_with(OF_RELAIS)
            || OF_FRONTS.iter().any(|begin| plain.starts_with(begin))
            || named.contains(&plain)
            || (is_new_trace && plain == "tracestate");
        if !is_dropped {
            kept.append(name, value.clone());
        }
    }
    kept.insert(X_REQUEST_ID, head.request_id.clone());
    kept.insert(TRACEPARENT, head.traceparent.clone());
    if head.headers.contains_key(header::CONTENT_LENGTH) && body.size_hint().exact() == Some(0) {
        // No body is sent, and yet it was said that there is one: some servers insist on that for POST and PUT.
        kept.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    kept
}

/// The headers of an answer, `Location` as it was. Where there can be no body, its length is that of what there would be,
/// if it is one: nobody has looked at it, and two of them would cut the caller's connection.
pub(super) fn of_answer(headers: &HeaderMap, has_no_body: bool) -> HeaderMap {
    let named = named_by_connection(headers);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let is_one = match (lengths.next(), lengths.next()) {
        (Some(length), None) => {
            !length.is_empty() && length.len() < 20 && length.as_bytes().iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let plain = plain(name.as_str());
        let is_length = has_no_body && is_one && *name == header::CONTENT_LENGTH;
        let is_dropped = HOP_BY_HOP.contains(&&*plain)
            || (OF_ANSWER.contains(&&*plain) && !is_length)
            || plain.starts_with(OF_RELAIS)
            || TO_FRONTS.iter().any(|begin| plain.starts_with(begin))
            || plain.ends_with(TO_CACHES)
            || named.contains(&plain);
        if !is_dropped {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// As the most indulgent server reads it.
fn plain(name: &str) -> String {
    let as_read = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(as_read).collect()
}

/// What `Connection` says to be of this connection only. A value that cannot be read names nothing: it is dropped itself.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter();
    let words = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    words.map(|word| plain(word.trim())).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::domain::target::TargetPath;

    const OWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn body(text: &'static str) -> TargetBody {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    }

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(parse) {
            headers.append(name, value);
        }
        headers
    }

    fn sent(pairs: &[(&str, &str)], text: &'static str) -> Vec<String> {
        let head = TargetHead {
            method: Method::POST,
            path: TargetPath::parse("/x").expect("a path"),
            query: None,
            headers: map(pairs),
            request_id: HeaderValue::from_static("request-1"),
            traceparent: HeaderValue::from_static(OWN),
        };
        lines(&of_request(&head, &body(text)))
    }

    #[test]
    fn r_f_08_nothing_talks_method_path_or_front_round() {
        for name in [
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X_Method_Override",
            "X.HTTP.Method.Override",
            "X-Original-URL",
            "X-Original-URI",
            "X-Original-Host",
            "X!Original~Method",
            "X-Rewrite-URL",
            "X-Host",
            "X-HTTP-Host-Override",
            "X-Scheme",
            "X-Script-Name",
            "X-Envoy-Original-Path",
            "X-Accel-Mapping",
            "X-Sendfile-Type",
            "Proxy",
            "X-Real-IP",
            "X-Client-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
            "Remote-Addr",
            "X-Forwarded",
            "X-Forwarded-For",
            "X.Forwarded.For",
            "X+Forwarded'Host",
            "X-ForwardedFor",
            "X-Forwarded-Client-Cert",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Client-Cert",
            "X-ClientCert",
            "X-Client-Certificate",
            "X-SSL-Client-S-DN",
            "SSL_CLIENT_VERIFY",
            "SSL-Cert",
            "X-TLS-Client-Subject",
            "WL-Proxy-Client-Cert",
            "WL-Proxy-Client-IP",
            "WL-Proxy-SSL",
            "Proxy-Auth-Cert",
            "$WSCC",
            "$WSRU",
            "$wsra",
            "$WSIS",
            "X-ARR-ClientCert",
            "X-ARR-SSL",
            "X-Amzn-Mtls-Clientcert",
            "X-Amzn-Mtls-Clientcert-Leaf",
            "X-Amzn-Oidc-Data",
            "Remote-User",
            "REMOTE_USER",
            "Remote-Groups",
            "X-Remote-User",
            "X-Remote-Group",
            "X-Authenticated-User",
            "X-Auth-Request-Email",
            "X-WebAuth-User",
            "X-MS-Client-Principal-Id",
            "X-Goog-IAP-JWT-Assertion",
            "X-Goog-Authenticated-User-Email",
            "X-Consumer-Username",
            "Cf-Access-Jwt-Assertion",
            "OIDC_CLAIM_sub",
            "OAM_REMOTE_USER",
            "iv-user",
            "SM_USER",
            "Shib-Identity-Provider",
            "Auth-User",
            "Cookie2",
            "relais.session",
        ] {
            assert_eq!(sent(&[(name, "x")], ""), sent(&[], ""), "{name}");
        }
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap_or("?"));
        let mut lines: Vec<String> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    const ADDED: [&str; 2] =
        ["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x-request-id: request-1"];

    #[test]
    fn what_is_for_relais_or_for_one_connection_does_not_go_on() {
        let dropped = [
            ("authorization", "Bearer rsh_x"),
            ("authorization", "Basic x"),
            ("dpop", "x"),
            ("cookie", "a=b"),
            ("relais-session", "rsh_x"),
            ("relais-client-assertion", "x"),
            ("relais_session", "rsh_x"),
            ("relais-anything", "x"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil.example"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded_proto", "http"),
            ("connection", "keep-alive, X-Named, te"),
            ("connection", "x-other"),
            ("x-named", "1"),
            ("x_named", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-authenticate", "Basic"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
            ("host", "evil.example"),
            ("content-length", "5"),
            ("x-request-id", "another-one"),
            ("traceparent", "00-11111111111111111111111111111111-1111111111111111-00"),
            ("tracestate", "vendor=1"),
        ];
        assert_eq!(sent(&dropped, "hello"), ADDED);
    }

    #[test]
    fn end_to_end_headers_go_on_as_often_as_they_came() {
        let kept = [
            ("accept", "application/fhir+json"),
            ("accept-encoding", "gzip"),
            ("content-encoding", "gzip"),
            ("content-type", "application/fhir+json"),
            ("if-match", "W/\"1\""),
            ("prefer", "return=minimal"),
            ("x-custom", "1"),
            ("x-custom", "2"),
            ("x_custom", "3"),
            ("x.custom", "4"),
            ("x-auth-token", "of the target's own"),
            ("x-client-version", "of the caller"),
            ("x-correlation-id", "1"),
            ("ws-id", "no dollar"),
        ];
        let mut expected: Vec<String> = kept.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        expected.extend(ADDED.map(str::to_owned));
        expected.sort();
        assert_eq!(sent(&kept, "x"), expected);
        let of_caller = [("traceparent", OWN), ("tracestate", "vendor=1")];
        assert_eq!(sent(&of_caller, "x"), [ADDED[0], "tracestate: vendor=1", ADDED[1]]);
    }

    #[test]
    fn a_body_that_is_announced_and_empty_stays_announced() {
        assert_eq!(sent(&[("content-length", "0")], ""), ["content-length: 0", ADDED[0], ADDED[1]]);
        assert_eq!(sent(&[], ""), ADDED);
    }

    #[test]
    fn of_an_answer_nothing_speaks_for_relais_or_for_one_connection() {
        let headers = map(&[
            ("connection", "close, x-named"),
            ("x-named", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("relais-answer", "relais"),
            ("relais-x", "1"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
            ("proxy-authenticate", "Basic"),
            ("link", "<https://dmp.example.fr/fhir/x>; rel=\"next\""),
            ("refresh", "0; url=https://dmp.example.fr/fhir/x"),
            ("set-cookie2", "a=b"),
            ("relais.answer", "relais"),
            ("x-accel-redirect", "/internal/secret"),
            ("x_accel_buffering", "no"),
            ("x-sendfile", "/etc/passwd"),
            ("cdn-cache-control", "public, max-age=60"),
            ("example-cdn-cache-control", "public"),
            ("surrogate-control", "max-age=60"),
            ("edge-control", "cache-maxage=1m"),
            ("content-type", "application/fhir+json"),
            ("etag", "W/\"1\""),
            ("www-authenticate", "Bearer realm=\"dmp\""),
            ("cache-control", "private"),
        ]);
        let kept = [
            "cache-control: private",
            "content-type: application/fhir+json",
            "etag: W/\"1\"",
            "www-authenticate: Bearer realm=\"dmp\"",
        ];
        assert_eq!(lines(&of_answer(&headers, false)), kept);
        let mut with_length = [&["content-length: 5"], &kept[..]].concat();
        with_length.sort_unstable();
        assert_eq!(lines(&of_answer(&headers, true)), with_length);
    }

    #[test]
    fn the_length_of_what_is_not_sent_is_one_number_or_nothing() {
        for (lengths, kept) in [
            (&["5"][..], &["content-length: 5"][..]),
            (&["0"], &["content-length: 0"]),
            (&["5", "5"], &[]),
            (&["5", "6"], &[]),
            (&["5, 5"], &[]),
            (&["+5"], &[]),
            (&["-1"], &[]),
            (&["5 "], &[]),
            (&["0x5"], &[]),
            (&[""], &[]),
            (&["99999999999999999999"], &[]),
        ] {
            let pairs: Vec<(&str, &str)> = lengths.iter().map(|length| ("content-length", *length)).collect();
            assert_eq!(lines(&of_answer(&map(&pairs), true)), kept, "{lengths:?}");
            assert_eq!(lines(&of_answer(&map(&pairs), false)), [""; 0], "{lengths:?}");
        }
    }
}
