//! What goes on and what does not, as both ends see it.

use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::json;

use super::{API, at, calls, like_api, raw, signed_in};
use crate::support::downstream::{Connection, Downstream};
use crate::support::http::Caller;
use crate::support::log;
use crate::support::stack::{BACKENDS, Backend};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_made_with_a_token_for_the_person_and_the_certificate_that_it_is_bound_to() {
    let hex = like_api("hex", &[("\"rfc8705\"", "\"cisis_hex\"")]);
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &format!("{API}{hex}")).await;
        for target in ["api", "hex"] {
            let path = format!("/v1/targets/{target}/Patient/1%20a?name=x%2Fy&_count=10&&b=c+d");
            let answer = session.header("x-custom", "1").get(&path).await.expect(200);
            assert_eq!(answer.header("relais-answer"), Some("target"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let told = answer.json();
            assert_eq!(told["method"], "GET");
            assert_eq!(told["path"], "/target/Patient/1%20a");
            assert_eq!(told["query"], "name=x%2Fy&_count=10&&b=c+d");
            assert_eq!(told["token"]["preferred_username"], crate::support::stack::DOCTOR);
            assert!(told["token"]["cnf"]["x5t#S256"].is_string());
            assert_eq!(told["headers"]["x-custom"], json!(["1"]));
            assert_eq!(told["headers"]["x-request-id"][0].as_str(), answer.header("x-request-id"));
            let trace = told["headers"]["traceparent"][0].as_str().expect("a trace").to_owned();
            assert_eq!(trace.len(), 55, "{trace}");
            let of_relais = told["headers"].as_object().expect("headers").keys();
            assert!(of_relais.clone().all(|name| !name.starts_with("relais-") && name != "cookie"));
        }
        for (method, body) in [(Method::POST, "{\"a\":1}"), (Method::PUT, "x"), (Method::PATCH, "yy")] {
            let answer =
                session.send_text(method.clone(), "/v1/targets/api/Patient", "text/plain", body).await;
            let told = answer.expect(200).json();
            assert_eq!(
                (&told["method"], &told["body"]["bytes"]),
                (&json!(method.as_str()), &json!(body.len()))
            );
        }
        assert_eq!(calls(&stack, "exchange").await, 2, "one exchange a target");
        for (path, below) in [("", "/target/"), ("/", "/target/"), ("/a/", "/target/a/")] {
            let told = session.get(&format!("/v1/targets/api{path}")).await.expect(200).json();
            assert_eq!(told["path"], below, "{path:?}");
        }
        let head = session.send(Method::HEAD, "/v1/targets/api/_bytes/12345", None).await.expect(200);
        assert_eq!((head.header("content-length"), head.body.as_str()), (Some("12345"), ""));
        let options = session.send(Method::OPTIONS, "/v1/targets/api/x", None).await.expect(200);
        assert_eq!(options.json()["method"], "OPTIONS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_use_of_the_session() {
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, API).await;
        let left = async || session.get("/v1/session?touch=false").await.expect(200).at("/idle_expires_in");
        for _ in 0..3 {
            stack
                .clock
                .advance_slowly(std::time::Duration::from_mins(10), std::time::Duration::from_mins(1))
                .await;
            let before = left().await.as_i64().expect("seconds");
            session.get("/v1/targets/api/x").await.expect(200);
            let after = left().await.as_i64().expect("seconds");
            assert!(after > before + 500, "{before} {after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_caller_s_request_the_target_sees_what_is_end_to_end() {
    let downstream = Downstream::answering(OK).await;
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let headers = "cookie: a=b\r\nrelais-x: 1\r\nforwarded: for=1.1.1.1\r\nx-forwarded-for: 1.1.1.1\r\n\
        X_Forwarded_Host: evil\r\nte: trailers\r\nupgrade: websocket\r\nkeep-alive: timeout=9\r\n\
        proxy-authorization: Basic x\r\nexpect: 100-continue\r\naccept: application/fhir+json\r\n\
        connection: x-mine\r\nx-mine: 1\r\nx-custom: 1\r\nx-custom: 2\r\nx-request-id: of-the-caller\r\n\
        traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: v=1\r\n";
    let answer = raw(&stack, &session, "GET /v1/targets/raw/a/b?x=1", headers, "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    let heads = downstream.heads();
    let [head] = heads.as_slice() else { panic!("{heads:?}") };
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "get /base/a/b?x=1 http/1.1");
    let bearer = lines.iter().position(|line| line.starts_with("authorization: bearer ey")).expect(head);
    lines.remove(bearer);
    lines.sort_unstable();
    let host = format!("host: {}", downstream.address);
    assert_eq!(
        lines,
        [
            "accept: application/fhir+json",
            host.as_str(),
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate: v=1",
            "x-custom: 1",
            "x-custom: 2",
            "x-request-id: of-the-caller",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_target_s_answer_the_caller_sees_what_is_end_to_end() {
    let downstream = Downstream::answering(
        "HTTP/1.1 418 Teapot\r\nset-cookie: a=b\r\nrelais-answer: relais\r\nrelais-x: 1\r\nx-mine: 1\r\n\
         connection: close, x-mine\r\nkeep-alive: timeout=9\r\nwww-authenticate: Tea realm=\"pot\"\r\netag: \"1\"\r\n\
         cache-control: private\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nno\r\n0\r\nx-sum: 1\r\n\r\n",
    )
    .await;
    let (_stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let answer = session.get("/v1/targets/raw/a").await.expect(418);
    assert_eq!(answer.body, "no");
    let mut names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "date",
            "etag",
            "relais-answer",
            "transfer-encoding",
            "vary",
            "www-authenticate",
            "x-content-type-options",
            "x-request-id"
        ]
    );
    assert_eq!(answer.header("relais-answer"), Some("target"));
    assert_eq!(answer.header("cache-control"), Some("private"));
}

/// One body that a target was sent: as it was announced, as it came, and what came behind it.
struct Framed {
    head: String,
    body: String,
    behind: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_framed_anew_so_that_nothing_can_be_smuggled() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let downstream = Downstream::new(move |mut connection: Connection| {
        let told = told.clone();
        async move {
            let body = connection.read_body().await;
            connection.say(OK).await;
            // Whatever Relais takes for a part of this call comes before it closes.
            while connection.read_some().await {}
            let behind = String::from_utf8_lossy(&connection.rest).into_owned();
            told.send(Framed { head: connection.head, body, behind }).expect("a listener");
        }
    })
    .await;
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let smuggled = "GET /v1/targets/raw/SMUGGLED HTTP/1.1\r\nhost: relais\r\n\r\n";
    for (headers, body, sent) in [
        ("content-length: 5\r\n", "hello", Some("hello")),
        ("content-length: 0\r\n", "", Some("")),
        ("", "", Some("")),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", Some("hello")),
        ("transfer-encoding: chunked\r\n", "5;x=\"0\"\r\nhello\r\n0\r\nx-smuggled: 1\r\n\r\n", Some("hello")),
        ("transfer-encoding: chunked\r\n", "0\r\n\r\n", Some("")),
        ("content-length: 4\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n", Some("")),
        ("transfer-encoding: chunked\r\ncontent-length: 30\r\n", "0\r\n\r\n", Some("")),
        ("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n", None),
        ("transfer-encoding: xchunked\r\n", "0\r\n\r\n", None),
        ("content-length: 5\r\ncontent-length: 6\r\n", "hello", None),
        ("content-length: +5\r\n", "hello", None),
        ("content-length: 5, 5\r\n", "hello", None),
    ] {
        // With another request behind the body, in the same bytes.
        let answer =
            raw(&stack, &session, "POST /v1/targets/raw/a", headers, &format!("{body}{smuggled}")).await;
        let Some(sent) = sent else {
            assert!(answer.starts_with("HTTP/1.1 400"), "{headers}: {answer}");
            continue;
        };
        assert!(answer.starts_with("HTTP/1.1 200"), "{headers}: {answer}");
        let Framed { head, body, behind } = heard.recv().await.expect("a call");
        assert!(head.starts_with("post /base/a http/1.1"), "{headers}: {head}");
        assert_eq!((body.as_str(), behind.as_str()), (sent, ""), "{headers}: {head}");
        let framed = ["content-length:", "transfer-encoding:"].map(|name| head.matches(name).count());
        assert!(framed.iter().sum::<usize>() <= 1, "{headers}: {head}");
    }
    assert!(heard.try_recv().is_err(), "nothing else was sent");
    assert!(!downstream.heads().iter().any(|head| head.contains("smuggled")), "{:?}", downstream.heads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_below_the_base_leads_back_through_relais() {
    for (status, name, location, expected) in [
        (302, "location", "/base/b?x=1#y", Some("/v1/targets/raw/b?x=1#y")),
        (307, "location", "c", Some("/v1/targets/raw/c")),
        (201, "location", "/base/Patient/7/_history/1", Some("/v1/targets/raw/Patient/7/_history/1")),
        (202, "content-location", "/base/_status/1", Some("/v1/targets/raw/_status/1")),
        // The caller would take its handle there.
        (201, "location", "https://elsewhere.example/x", None),
        (202, "content-location", "https://elsewhere.example/x", None),
        (200, "refresh", "0; url=https://elsewhere.example/x", None),
    ] {
        let text = format!(
            "HTTP/1.1 {status} X\r\n{name}: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let downstream = Downstream::answering(text.leak()).await;
        let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        let still = Caller::with(session.base(), |builder| builder.redirect(Policy::none()));
        let answer = still.bearer(&session.token()).get("/v1/targets/raw/a").await.expect(status);
        let expected = expected.map(|path| format!("http://127.0.0.1:0{path}"));
        assert_eq!(answer.header(name), expected.as_deref(), "{status} {location}");
        drop(stack);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_below_the_base_lead_back_through_relais_and_others_are_left_out() {
    let downstream = Downstream::answering(
        "HTTP/1.1 200 OK\r\nlink: </base/Patient?page=2>; rel=\"next\", <https://elsewhere.example/x>; rel=\"self\"\r\n\
         link: <?page=9>; rel=\"last\"; title=\"9, at last\"\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
    )
    .await;
    let (_stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let answer = session.get("/v1/targets/raw/Patient").await.expect(200);
    let links: Vec<_> = answer.headers.get_all("link").iter().collect();
    assert_eq!(
        links,
        [
            "<http://127.0.0.1:0/v1/targets/raw/Patient?page=2>; rel=\"next\"",
            "<http://127.0.0.1:0/v1/targets/raw/Patient?page=9>; rel=\"last\"; title=\"9, at last\"",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_is_one_whatever_lengths_it_names() {
    for (said, length) in [
        ("content-length: 12\r\n", "12"),
        // What is not known is told as what is sent.
        ("content-length: 12\r\ncontent-length: 13\r\n", "0"),
        ("content-length: 12\r\ncontent-length: 12\r\n", "0"),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{said}etag: \"1\"\r\nconnection: close\r\n\r\n");
        let downstream = Downstream::answering(text.leak()).await;
        let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        let answer = raw(&stack, &session, "HEAD /v1/targets/raw/a", "", "").await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200") && answer.contains("etag: \"1\""), "{said}: {answer}");
        let lengths = answer.lines().filter_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(lengths.collect::<Vec<_>>(), [length], "{said}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_e_08_no_cache_gives_an_answer_to_the_next_person() {
    for (said, told) in [
        ("", "no-store"),
        ("cache-control: public, max-age=60\r\n", "no-store"),
        ("cache-control: max-age=60\r\n", "no-store"),
        ("cache-control: private, max-age=60\r\n", "private, max-age=60"),
        ("cache-control: max-age=0, No-Store\r\n", "max-age=0, No-Store"),
        ("cache-control: max-age=60\r\ncache-control: private\r\n", "max-age=60"),
        // What only looks like it, in a list of names or for a cache that understands the status.
        ("cache-control: private=\"a, no-store, b\", public, max-age=60\r\n", "no-store"),
        ("cache-control: private=\"set-cookie\"\r\n", "no-store"),
        ("cache-control: x=\"\r\ncache-control: private\r\n", "no-store"),
        ("cache-control: must-understand, no-store, max-age=60\r\n", "no-store"),
        ("cache-control: must-understand, private\r\n", "must-understand, private"),
    ] {
        let text =
            format!("HTTP/1.1 200 X\r\n{said}vary: accept\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let downstream = Downstream::answering(text.leak()).await;
        let (_stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
        let answer = session.get("/v1/targets/raw/a").await.expect(200);
        assert_eq!(answer.header("cache-control"), Some(told), "{said}");
        let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["accept", "Authorization, Relais-Session"]);
    }
}

#[tokio::test]
async fn the_log_names_the_target_and_nothing_of_the_call() {
    let log = log::capture();
    let (stack, session) = signed_in(Backend::Sqlite, API).await;
    session.get("/v1/targets/api/canary-path?canary=query").await.expect(200);
    session.get("/v1/targets/unknown-canary/x").await.expect_problem(404, "target_unknown");
    let metrics = stack.ops.get("/metrics").await.expect(200).body;
    assert!(
        metrics.contains("route=\"/v1/targets/{target}/{*path}\",status=\"200\""),
        "the route is a template"
    );
    let text = log.text();
    let line = text.lines().find(|line| line.contains("target.name=api") && line.contains("relais::request"));
    let line = line.expect("a line of the call");
    for part in ["method=\"GET\"", "status=200", "route=\"/v1/targets/{target}/{*path}\"", "session.id="] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!text.contains("canary") && !metrics.contains("canary"), "{text}");
    assert!(!text.contains(&session.token()) && !text.contains("eyJ"), "a token is in the log");
}
