//! The zoo of URLs (R-G-06): whatever a request line says, a call goes to the configured scheme, host and port, below the
//! configured base, or nowhere.

use super::{at, problem, raw, signed_in};
use crate::support::downstream::Downstream;
use crate::support::stack::{BACKENDS, Backend};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn r_g_06_every_member_of_the_zoo_is_refused() {
    let downstream = Downstream::answering(OK).await;
    // What stands behind the name of the target.
    let paths = [
        "/../x",
        "/a/../../x",
        "/a/..",
        "/./x",
        "/a/.",
        "/..;/x",
        "/a/..;x=1/b",
        "/.;/x",
        "/%2e%2e/x",
        "/%2E%2E/x",
        "/.%2e/x",
        "/%2e./x",
        "/%2e/x",
        "/a%2f..%2fx",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/..%5cx",
        "/%252e%252e/x",
        "/a%252fb",
        "/%25252e/x",
        "/a%25",
        "/a%00b",
        "/a%0d%0ax:%20y",
        "/a%0ab",
        "/a%09b",
        "/a%7fb",
        "/a%c2%85b",
        "/%c0%ae%c0%ae/x",
        "/a%c0%afb",
        "/a%e0%80%afb",
        "/a%f0%80%80%afb",
        "/a%ff",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002fb",
        "/%ef%bc%8e%ef%bc%8e/x",
        "/a%ef%bc%8fb",
        "/a%e2%88%95b",
        "/a%e2%81%84b",
        "//x",
        "//evil.example/x",
        "///x",
        "/a//b",
        "/a//",
        "/;/x",
        "/a/;x/b",
        "/http://evil.example/x",
        "/https:%2f%2fevil.example",
        "/http:%5c%5cevil.example",
        "/\\x",
        "/a\\..\\x",
        "\\\\evil.example/x",
        "/\\evil.example",
        "/a|b",
        "/a{b}",
        "/a\"b",
        "/a<b>",
        "/a^b",
        "/a`b",
        "/a[b]",
        "/%3b/x",
        "/..%3b/x",
        "/a/%ef%b8%b0/x",
        "/a/%ef%b8%99/x",
        "/a/..%ef%b8%94x/y",
        "/a%c2%a5x",
        "/..%e2%80%8b/x",
        "/..%c2%ad/x",
        "/%ef%bb%bf../x",
        "/.%e2%81%a0./x",
        "/..%cd%8f/x",
        "/..%e3%85%a4/x",
        "/..%ef%b8%8f/x",
        "/..%f3%a0%81%bf/x",
    ];
    for backend in BACKENDS {
        let (stack, session) = signed_in(backend, &at("raw", &downstream)).await;
        for path in paths {
            let answer = raw(&stack, &session, &format!("GET /v1/targets/raw{path}"), "", "").await;
            let (status, code, whose) = problem(&answer);
            // What is no request at all is refused before it is known for whom it is.
            let is_no_request =
                status == 400 && code.is_empty() && path.contains(['\\', '|', '{', '"', '<', '^', '`', '[']);
            // Such a path has no target: the name itself is broken.
            let has_no_target = path.starts_with('\\') && (status, code.as_str()) == (404, "target_unknown");
            let is_refused = (status, code.as_str(), whose.as_str()) == (403, "target_not_allowed", "relais");
            assert!(is_refused || is_no_request || has_no_target, "{path}: {answer}");
        }
        assert_eq!(downstream.heads(), [""; 0], "nothing was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_g_06_no_name_of_a_target_is_a_host() {
    let downstream = Downstream::answering(OK).await;
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    for name in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "%5b::1%5d",
        "[::ffff:127.0.0.1]",
        "localhost",
        "localhost.",
        "evil.example",
        "raw:80",
        "raw@evil.example",
        "user:pass@raw",
        "raw%40evil.example",
        "raw%2eevil",
        "raw.",
        "RAW",
        "r%61w",
        "xn--raw",
        "raw%00",
        "raw%0d%0a",
        "raw;x=1",
        "http:",
        "..",
        "%2e%2e",
        "",
    ] {
        let answer = raw(&stack, &session, &format!("GET /v1/targets/{name}/x"), "", "").await;
        let (status, code, whose) = problem(&answer);
        let is_no_request = status == 400 && code.is_empty();
        let is_known = matches!(code.as_str(), "target_unknown" | "not_found");
        let is_refused = status == 404 && is_known && whose == "relais";
        assert!(is_refused || is_no_request, "{name:?}: {answer}");
    }
    // No route, or one without a name, and yet a call of a target by its path.
    for (path, expected) in [
        ("/v1/targets/", "not_found"),
        ("/v1/targets//x", "target_unknown"),
        ("/v1/targets//", "target_unknown"),
    ] {
        let (status, code, whose) = problem(&raw(&stack, &session, &format!("GET {path}"), "", "").await);
        assert_eq!((status, code.as_str(), whose.as_str()), (404, expected, "relais"), "{path}");
    }
    assert_eq!(downstream.heads(), [""; 0], "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_g_06_the_request_line_and_the_host_header_name_no_other_host() {
    let (downstream, elsewhere) = (Downstream::answering(OK).await, Downstream::answering(OK).await);
    let (stack, session) = signed_in(Backend::Sqlite, &at("raw", &downstream)).await;
    let other = elsewhere.address;
    for line in [
        format!("GET http://{other}/v1/targets/raw/x"),
        format!("GET https://{other}/v1/targets/raw/x"),
        format!("GET http://user:pass@{other}/v1/targets/raw/x"),
        "GET http://localhost/v1/targets/raw/x".to_owned(),
        format!("GET ftp://{other}/v1/targets/raw/x"),
        format!("CONNECT {other}"),
        "OPTIONS *".to_owned(),
    ] {
        let answer = raw(&stack, &session, &line, "", "").await;
        let (status, ..) = problem(&answer);
        assert!((400..500).contains(&status), "{line}: {answer}");
    }
    assert_eq!(downstream.heads(), [""; 0], "nothing was sent");
    // What names a host elsewhere in a request leads nowhere: the call goes to the target.
    for (line, headers) in [
        ("GET /v1/targets/raw/127.0.0.1", format!("x-forwarded-host: {other}\r\n")),
        ("GET /v1/targets/raw/user@evil.example:443", format!("forwarded: host={other}\r\n")),
        ("GET /v1/targets/raw/x?url=http://169.254.169.254/", format!("x-original-url: http://{other}/\r\n")),
    ] {
        let answer = raw(&stack, &session, line, &headers, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
    }
    assert_eq!((downstream.heads().len(), elsewhere.heads().len()), (3, 0));
    let host = format!("host: {}", downstream.address);
    assert!(downstream.heads().iter().all(|head| head.contains(&host) && head.starts_with("get /base/")));
}
