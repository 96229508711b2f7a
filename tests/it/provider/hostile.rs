//! Everything that a provider can say is bounded and typed, at each of its endpoints: what is not well-formed is refused
//! without harm. What never ends, and what is no HTTP, is in [`super::wire`].

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relais::domain::login::LoginReason;
use relais::engine::ports::Providers as _;
use serde_json::{Value, json};

use super::op::{Op, Reply};
use super::setup::{APPROVED, HINT, Setup, TOKEN_INVALID, acknowledgement, token_answer, without};
use super::signing::{rsa_1, rsa_2};

/// The endpoints, with the largest answer that each may give, in bytes.
pub const ENDPOINTS: [(&str, usize); 5] = [
    ("metadata", 256 * 1024),
    ("jwks", 64 * 1024),
    ("backchannel", 64 * 1024),
    ("token", 256 * 1024),
    ("userinfo", 256 * 1024),
];

/// What an answer led to.
#[derive(PartialEq, Eq, Debug)]
pub enum Verdict {
    Accepted,
    /// Refused, and where a login was under way it has ended, or is polled on: never taken for a success.
    Refused,
}

impl Setup {
    /// The answer that `endpoint` gives where all is well.
    pub fn good(&self, endpoint: &str) -> String {
        match endpoint {
            "metadata" => self.op.metadata(),
            "jwks" => json!({ "keys": [rsa_1().jwk()] }),
            "backchannel" => acknowledgement(),
            "token" => token_answer(&rsa_1().sign(&self.claims())),
            _ => json!({"sub": "f:op:1", "SubjectNameID": HINT}),
        }
        .to_string()
    }

    /// Asks `endpoint`, and says what its answer led to.
    pub async fn verdict(&self, endpoint: &str) -> Verdict {
        let accepted = match endpoint {
            "metadata" => self.clients.ensure_metadata(&self.registration).await.is_ok(),
            "jwks" | "token" => {
                let outcome = self.outcome().await;
                let refused = [TOKEN_INVALID, "failed provider_invalid_answer", "unreachable"];
                assert!(outcome == APPROVED || refused.contains(&outcome.as_str()), "{endpoint}: {outcome}");
                outcome == APPROVED
            }
            "backchannel" => match self.start().await {
                Ok(_) => true,
                Err(failure) => {
                    let expected = [LoginReason::ProviderInvalidAnswer, LoginReason::OutcomeUnknown];
                    assert!(expected.contains(&failure.reason), "{:?}", failure.reason);
                    assert!(failure.may_have_been_accepted, "a phone may ring: the person is kept");
                    false
                }
            },
            _ => {
                let approved = self.approved().await;
                let x5t = self.clients.certificate_in_use(&self.registration);
                let token = &approved.tokens.access_token;
                let read = self.clients.userinfo(&self.registration, x5t.as_deref(), token, &approved.claims);
                read.await.is_ok()
            }
        };
        if accepted { Verdict::Accepted } else { Verdict::Refused }
    }
}

/// What `endpoint` makes of `body` with status 200 and these headers.
async fn told(
    endpoint: &str,
    headers: &[(&'static str, &str)],
    body: impl FnOnce(&str) -> Vec<u8>,
) -> Verdict {
    let setup = Setup::new().await;
    let reply = Reply::raw(200, "application/json", body(&setup.good(endpoint)));
    let reply = headers.iter().fold(reply, |reply, (name, value)| reply.with(name, value));
    setup.op.stand(endpoint, reply);
    setup.verdict(endpoint).await
}

/// `member` put in front of the object's own.
fn before(body: &str, member: &[u8]) -> Vec<u8> {
    [b"{", member, b",", &body.as_bytes()[1..]].concat()
}

/// `member` put behind them.
fn behind(body: &str, member: &[u8]) -> Vec<u8> {
    [&body.as_bytes()[..body.len() - 1], b",", member, b"}"].concat()
}

#[tokio::test]
async fn r_c_08_odd_members_that_nobody_reads_do_no_harm() {
    for (endpoint, _) in ENDPOINTS {
        for member in [
            &br#""x":18446744073709551616"#[..],
            br#""x":-0.0"#,
            br#""x":1e308"#,
            "\"\u{1f980}\":\"\u{202e}\"".as_bytes(),
            br#""x":"\u0000""#,
            br#""":null"#,
            br#""x":[[[[[[[[[[{}]]]]]]]]]]"#,
        ] {
            let verdict = told(endpoint, &[], |good| behind(good, member)).await;
            assert_eq!(verdict, Verdict::Accepted, "{endpoint}: {}", String::from_utf8_lossy(member));
        }
    }
}

#[tokio::test]
async fn r_c_08_an_answer_may_be_as_large_as_its_limit_and_not_a_byte_larger() {
    for (endpoint, most) in ENDPOINTS {
        for (size, expected) in [(most, Verdict::Accepted), (most + 1, Verdict::Refused)] {
            let verdict = told(endpoint, &[], |good| {
                let filling = "a".repeat(size - good.len() - r#","x":"""#.len());
                behind(good, format!(r#""x":"{filling}""#).as_bytes())
            });
            assert_eq!(verdict.await, expected, "{endpoint}: {size} bytes");
        }
    }
}

#[tokio::test]
async fn r_c_08_what_is_no_well_formed_json_object_is_refused_at_every_endpoint() {
    let deep = format!(r#""x":{}{}"#, "[".repeat(40), "]".repeat(40));
    let abyss = format!(r#""x":{}"#, "[".repeat(30_000));
    let inner_twice = br#""x":{"a":1,"a":1}"#;
    for (endpoint, _) in ENDPOINTS {
        for (case, member) in [
            ("nested too deeply", deep.as_bytes()),
            ("nested beyond any stack", abyss.as_bytes()),
            ("a number beyond all", br#""x":1e999"#),
            ("not a number", br#""x":NaN"#),
            ("a leading zero", br#""x":01"#),
            ("hexadecimal", br#""x":0x10"#),
            ("invalid UTF-8", b"\"x\":\"\xff\""),
            ("an overlong form", b"\"x\":\"\xc0\xaf\""),
            ("half of a pair", br#""x":"\ud800""#),
            ("a raw NUL", b"\"x\":\"\0\""),
            ("a raw line end", b"\"x\":\"\n\""),
            ("a comment", br#"/* x */"x":1"#),
            ("no quotes", b"x:1"),
            ("single quotes", b"'x':1"),
        ] {
            let verdict = told(endpoint, &[], |good| before(good, member)).await;
            assert_eq!(verdict, Verdict::Refused, "{endpoint}: {case}");
        }
        // Userinfo only informs: of what it repeats the last counts, but for who it is about, which comes first.
        let expected = if endpoint == "userinfo" { Verdict::Accepted } else { Verdict::Refused };
        let verdict = told(endpoint, &[], |good| before(good, inner_twice)).await;
        assert_eq!(verdict, expected, "{endpoint}: a member twice, far inside");
        let first_twice = |good: &str| {
            let (first, _) = good.split_once(':').expect("a member");
            before(good, format!("{}:null", &first[1..]).as_bytes())
        };
        assert_eq!(told(endpoint, &[], first_twice).await, Verdict::Refused, "{endpoint}: a member twice");
    }
}

#[tokio::test]
async fn r_c_08_what_is_not_one_whole_text_of_json_is_refused_at_every_endpoint() {
    type Change = fn(&str) -> Vec<u8>;
    let cases: [(&str, Change); 9] = [
        ("a byte order mark", |good| [b"\xef\xbb\xbf", good.as_bytes()].concat()),
        ("UTF-16", |good| good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("two texts", |good| format!("{good}{good}").into_bytes()),
        ("something behind it", |good| format!("{good}\0").into_bytes()),
        ("half of it", |good| good.as_bytes()[..good.len() / 2].to_vec()),
        ("a list around it", |good| format!("[{good}]").into_bytes()),
        ("a text of it", |good| json!(good).to_string().into_bytes()),
        ("nothing", |_| Vec::new()),
        ("null", |_| b"null".to_vec()),
    ];
    for (endpoint, _) in ENDPOINTS {
        for (case, change) in cases {
            assert_eq!(told(endpoint, &[], change).await, Verdict::Refused, "{endpoint}: {case}");
        }
    }
}

#[tokio::test]
async fn r_c_08_a_compressed_answer_is_refused_since_none_was_asked_for() {
    // A gzip member whose content would be large; nobody unpacks it.
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0xec; 512]].concat();
    for (endpoint, _) in ENDPOINTS {
        for coding in ["gzip", "deflate", "br", "zstd", "x-unheard-of", "gzip, identity"] {
            let packed = told(endpoint, &[("content-encoding", coding)], |_| bomb.clone()).await;
            assert_eq!(packed, Verdict::Refused, "{endpoint}: {coding}");
            let as_it_is = told(endpoint, &[("content-encoding", coding)], |good| good.into()).await;
            assert_eq!(as_it_is, Verdict::Refused, "{endpoint}: {coding}, but not packed");
        }
        let identity = told(endpoint, &[("content-encoding", "identity")], |good| good.into()).await;
        assert_eq!(identity, Verdict::Accepted, "{endpoint}");
    }
}

#[tokio::test]
async fn r_c_08_numbers_that_count_are_numbers() {
    let setup = Setup::new().await;
    for (member, bad) in [
        ("expires_in", json!("120")),
        ("expires_in", json!(119.5)),
        ("expires_in", json!(-1)),
        ("expires_in", json!(-9_223_372_036_854_775_808_i64)),
        ("auth_req_id", json!(9_223_372_036_854_775_808_u64)),
    ] {
        let mut body = acknowledgement();
        body[member] = bad.clone();
        setup.op.next("backchannel", Reply::json(200, &body));
        assert_eq!(setup.start_failure().await, (LoginReason::ProviderInvalidAnswer, true), "{member} {bad}");
    }
    for huge in [json!(9_223_372_036_854_775_808_u64), json!(u64::MAX), json!(1e300)] {
        let mut body = acknowledgement();
        body["expires_in"] = huge.clone();
        body["interval"] = huge.clone();
        setup.op.next("backchannel", Reply::json(200, &body));
        let Ok(acknowledged) = setup.start().await else { panic!("{huge}") };
        let hour = Duration::from_hours(1);
        assert_eq!((acknowledged.expires_in, acknowledged.interval), (hour, hour), "{huge}");
    }
    // Only informs: absurd lives are none, or the longest.
    for odd in [json!("soon"), json!(-1), json!(1e300), json!(u64::MAX), json!([]), json!(true)] {
        let mut answer = token_answer(&rsa_1().sign(&setup.claims()));
        answer["expires_in"] = odd.clone();
        answer["refresh_expires_in"] = odd.clone();
        setup.op.next("token", Reply::json(200, &answer));
        assert_eq!(setup.outcome().await, APPROVED, "{odd}");
    }
}

#[tokio::test]
async fn r_c_02_dates_are_sane_numbers_in_every_claim() {
    let setup = Setup::new().await;
    let now = setup.now();
    for claim in ["exp", "iat", "nbf", "auth_time"] {
        for bad in [
            json!(now.to_string()),
            json!(9_223_372_036_854_775_808_u64),
            json!(i64::MIN),
            json!(1e300),
            json!(-1),
            json!(null),
            json!(true),
            json!([now]),
            json!({ "seconds": now }),
        ] {
            let outcome = setup.outcome_of_claims(|claims| claims[claim] = bad.clone()).await;
            assert_eq!(outcome, TOKEN_INVALID, "{claim} {bad}");
        }
        #[expect(clippy::cast_precision_loss, reason = "no date of this century loses any")]
        let fraction = json!(now as f64 + 0.5);
        let outcome = setup.outcome_of_claims(|claims| claims[claim] = fraction).await;
        assert_eq!(outcome, APPROVED, "{claim}: half a second is within every leeway");
    }
}

#[tokio::test]
async fn r_c_02_a_subject_is_plain_text() {
    let setup = Setup::new().await;
    for bad in ["a\u{0}", "a\nb", "\u{7f}", "a\tb"] {
        assert_eq!(
            setup.outcome_of_claims(|claims| claims["sub"] = json!(bad)).await,
            TOKEN_INVALID,
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn r_c_01_only_the_spelling_of_the_pinned_algorithm_counts() {
    let setup = Setup::new().await;
    for alg in [json!("rs256"), json!("RS256 "), json!("RS-256"), json!(["RS256"]), json!("NONE"), json!(256)]
    {
        let mut header = rsa_1().header();
        header["alg"] = alg.clone();
        let token = rsa_1().sign_text(&header, &setup.claims().to_string());
        assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID, "{alg}");
    }
    let mut header = rsa_1().header();
    without(&mut header, "alg");
    let token = rsa_1().sign_text(&header, &setup.claims().to_string());
    assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID, "none at all");
    // Both, of which a lenient reader takes the one it likes.
    let twice = rsa_1().header().to_string().replacen('{', r#"{"alg":"none","#, 1);
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(twice), URL_SAFE_NO_PAD.encode(setup.claims().to_string()));
    assert_eq!(setup.outcome_of_token(&format!("{message}.")).await, TOKEN_INVALID);
}

#[tokio::test]
async fn r_c_03_a_signed_userinfo_that_brings_its_key_is_refused() {
    let setup = Setup::new().await;
    let claims = json!({
        "sub": "f:op:1", "SubjectNameID": HINT, "iss": setup.op.base, "aud": super::setup::CLIENT_ID,
    })
    .to_string();
    let jwt = |header: &Value| Reply::raw(200, "application/jwt", rsa_1().sign_text(header, &claims));
    setup.op.stand("userinfo", jwt(&rsa_1().header()));
    assert_eq!(setup.verdict("userinfo").await, Verdict::Accepted);
    for (name, value) in [
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("jwk", rsa_2().jwk()),
        ("crit", json!([])),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("alg", json!("none")),
        ("typ", json!("at+jwt")),
        ("kid", json!(["rsa-1"])),
    ] {
        let mut header = rsa_1().header();
        header[name] = value;
        setup.op.stand("userinfo", jwt(&header));
        assert_eq!(setup.verdict("userinfo").await, Verdict::Refused, "{name}");
    }
}

#[tokio::test]
async fn r_c_04_the_person_is_compared_byte_for_byte() {
    let setup = Setup::new().await;
    for other in [
        "899700000001 ",
        " 899700000001",
        "899700000001\u{200b}",
        "899700000001\u{0}",
        "８９９７００００００００１",
        "99700000001",
        "8899700000001",
        "899700000001,899700000002",
    ] {
        let outcome = setup.outcome_of_claims(|claims| claims["SubjectNameID"] = json!(other)).await;
        assert_eq!(outcome, "failed identity_mismatch", "{other:?}");
    }
    for odd in [json!([HINT]), json!({ "value": HINT }), json!(899_700_000_001_i64), json!(true)] {
        let outcome = setup.outcome_of_claims(|claims| claims["SubjectNameID"] = odd.clone()).await;
        assert_eq!(outcome, "failed identity_mismatch", "{odd}");
    }
}

#[tokio::test]
async fn r_c_05_a_level_is_the_very_word_that_was_asked_for() {
    let setup = Setup::new().await;
    for other in [
        json!("EIDAS1"),
        json!("eidas1 "),
        json!("eidas1 eidas2"),
        json!("eidas10"),
        json!(["eidas1"]),
        json!(1),
        json!(""),
        json!(null),
    ] {
        let outcome = setup.outcome_of_claims(|claims| claims["acr"] = other.clone()).await;
        assert_eq!(outcome, "failed acr_insufficient", "{other}");
    }
}

#[tokio::test]
async fn r_c_06_an_id_token_that_names_its_request_or_its_access_token_serves_no_other() {
    let setup = Setup::new().await;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"the access token of another login");
    let at_hash = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]);
    assert_eq!(setup.outcome_of_claims(|claims| claims["at_hash"] = json!(at_hash)).await, TOKEN_INVALID);
    let name = "urn:openid:params:jwt:claim:auth_req_id";
    let other = format!("{}x", super::setup::AUTH_REQ_ID);
    assert_eq!(setup.outcome_of_claims(|claims| claims[name] = json!(other)).await, TOKEN_INVALID);
}

#[tokio::test]
async fn r_c_09_a_set_of_ten_thousand_keys_is_not_read_and_a_poisoned_one_serves_only_its_good_key() {
    for count in [65, 10_000] {
        let setup = Setup::new().await;
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"});
        let mut keys = vec![key; count];
        keys.push(rsa_1().jwk());
        setup.op.publish(&keys);
        assert_eq!(setup.verdict("jwks").await, Verdict::Refused, "{count} keys");
    }
    let setup = Setup::new().await;
    let named = |kid: &str| {
        let mut key = rsa_2().jwk();
        key["kid"] = json!(kid);
        key
    };
    let long = "k".repeat(20_000);
    setup.op.publish(&[
        named("../../etc/passwd"),
        named("' OR 1=1 --"),
        named("rsa-1\r\nX-Injected: 1"),
        named("\u{0}"),
        named(&long),
        json!({"kty": "oct", "kid": "rsa-1", "k": "c2VjcmV0"}),
        json!({"kty": "RSA", "kid": "rsa-1", "use": "enc", "n": rsa_1().jwk()["n"], "e": "AQAB"}),
        json!({"kty": "EC", "kid": "rsa-1", "crv": "P-256", "x": "AA", "y": "AA"}),
        named("rsa-1"),
        rsa_1().jwk(),
    ]);
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED);
    for kid in ["../../etc/passwd", "' OR 1=1 --", "rsa-1\r\nX-Injected: 1", "", "\u{0}"] {
        let mut header = rsa_1().header();
        header["kid"] = json!(kid);
        let token = rsa_1().sign_text(&header, &setup.claims().to_string());
        assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID, "{kid:?}");
    }
}

#[tokio::test]
async fn r_c_10_two_hundred_forged_names_cause_one_fetch() {
    let setup = Setup::new().await;
    assert_eq!(setup.outcome().await, APPROVED);
    for number in 0..200 {
        let mut header = rsa_2().header();
        header["kid"] = json!(format!("forged-{number}"));
        let token = rsa_2().sign_text(&header, &setup.claims().to_string());
        assert_eq!(setup.outcome_of_token(&token).await, TOKEN_INVALID);
    }
    assert_eq!(setup.op.count("jwks"), 2);
    assert_eq!(setup.outcome_of_claims(|_| {}).await, APPROVED, "the known key still counts");
}

#[tokio::test]
async fn r_c_08_a_retry_after_of_any_absurdity_leaves_the_login_polled() {
    let setup = Setup::new().await;
    let digits = "9".repeat(4000);
    for (text, expected) in [
        (digits.as_str(), "unreachable 3600"),
        ("9223372036854775808", "unreachable 3600"),
        ("-1", "unreachable"),
        ("1e9", "unreachable"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "unreachable 3600"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "unreachable"),
        ("\u{e9}", "unreachable"),
        ("0", "unreachable"),
    ] {
        setup.op.next("token", Reply::raw(503, "text/html", "").with("retry-after", text));
        assert_eq!(setup.outcome().await, expected, "{text}");
    }
}

#[tokio::test]
async fn r_c_12_a_provider_sees_nothing_of_another_one() {
    let (honest, evil) = (Op::listen().await, Op::listen().await);
    // The evil one answers with the honest one's issuer, tokens and addresses.
    let setup = Setup::at(honest.clone(), |_, _| {});
    let evil_setup = Setup::at(evil.clone(), |_, registration| {
        registration.credential = relais::provider::Credential::ClientSecretBasic {
            secret: relais::domain::secret::Secret::new("secret-for-the-evil-one"),
        };
    });
    assert!(setup.start().await.is_ok());
    assert_eq!(setup.outcome().await, APPROVED);
    let stolen = token_answer(&rsa_1().sign(&setup.claims()));
    evil.stand("token", Reply::json(200, &stolen));
    assert!(evil_setup.start().await.is_ok());
    assert_eq!(evil_setup.outcome().await, TOKEN_INVALID, "a token of the honest provider, at the evil one");
    let mut borrowed = evil.metadata();
    borrowed["issuer"] = json!(honest.base);
    evil.stand("metadata", Reply::json(200, &borrowed));
    let impostor = Setup::at(evil.clone(), |_, _| {});
    evil.stand("metadata", Reply::json(200, &borrowed));
    assert_eq!(impostor.verdict("metadata").await, Verdict::Refused, "another issuer's name");
    let honest_secret = "Basic ".to_owned()
        + &base64::engine::general_purpose::STANDARD.encode("relais-test:client-secret-canary");
    for endpoint in ["metadata", "jwks", "backchannel", "token", "userinfo"] {
        for seen in evil.seen(endpoint) {
            assert_ne!(seen.header("authorization"), Some(honest_secret.as_str()), "{endpoint}");
        }
        for seen in honest.seen(endpoint) {
            let said = format!("{:?} {}", seen.headers, seen.body);
            assert!(!said.contains("secret-for-the-evil-one"), "{endpoint}");
        }
    }
}
