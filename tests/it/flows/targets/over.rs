//! No call outlives its session, in either direction: what is under way when the session ends is broken off at both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use relais::domain::clock::Clock as _;
use relais::domain::ids::{Attempt, SessionId};
use relais::domain::session::SessionEndReason;
use relais::engine::ports::{Actor, EndSession};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::ends::waiting;
use super::{at, open, open_at, problem, session, signed_in};
use crate::support::downstream::{Connection, Downstream};
use crate::support::http::Caller;
use crate::support::stack::{BACKENDS, Backend, DOCTOR, Stack};

const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf";

/// Every further node tells where providers call it.
const FOR_PROVIDERS: &str =
    "[listeners.providers]\nbind = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:0\"\n";

/// Of the same tenant as the sessions that it acts with.
const HUB: &str = r#"
[applications.hub]
kind = "backend"
tenant = "practice"
registrations = ["psc"]
acts_for = ["desk"]
auth = "client_secret_basic"
secret = "a-secret-of-the-hub"
"#;

/// A target that is never too slow for Relais.
fn patient(name: &str, downstream: &Downstream) -> String {
    at(name, downstream).replace("400ms", "10m")
}

/// A server that never has the whole of what it is sent; how many have begun to send, how many have stopped amidst it.
async fn taking() -> (Downstream, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (begun, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begins, breaks) = (begun.clone(), broken.clone());
    let downstream = Downstream::new(move |mut connection: Connection| {
        let (begins, breaks) = (begins.clone(), breaks.clone());
        async move {
            connection.read_until("first").await;
            begins.fetch_add(1, Ordering::SeqCst);
            let whole = connection.read_until("0\r\n\r\n").await;
            assert!(!whole.ends_with("0\r\n\r\n"), "half a body was given out as a whole one");
            breaks.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (downstream, begun, broken)
}

/// How a session's right to a call ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Logout,
    Idle,
    Application,
    Registration,
    /// Somebody has ended it, and the word of it was lost.
    Unheard,
    /// The target is switched off; the session lives on.
    Targets,
}

const ENDS: [End; 6] =
    [End::Logout, End::Unheard, End::Targets, End::Application, End::Registration, End::Idle];

impl End {
    async fn happens(self, stack: &Stack, session: &Caller) {
        let off = |sections: &[&str]| {
            let mut config = stack.config.clone();
            for section in sections {
                let heading = format!("[{section}]\n");
                assert!(config.contains(&heading), "{section}");
                config = config.replace(&heading, &format!("{heading}enabled = false\n"));
            }
            stack.reload(&config);
        };
        match self {
            Self::Logout => {
                session.delete("/v1/session").await.expect(204);
            }
            Self::Idle => stack.clock.advance(Duration::from_mins(30)),
            Self::Application => off(&["applications.desk"]),
            Self::Registration => off(&["registrations.psc"]),
            Self::Unheard => {
                let seen = session.get("/v1/session?touch=false").await.expect(200);
                let session_id = seen.text("/session_id").parse().expect("an id");
                let attempt = Attempt(Uuid::from_u128(1));
                let (now, reason) = (stack.clock.now(), SessionEndReason::Revoked);
                let end = EndSession { session_id: SessionId(session_id), attempt, now, reason };
                // Past everything that tells anybody.
                let ended = stack.app().engine().store().end_session(end, &Actor::engine()).await;
                ended.unwrap_or_else(|error| panic!("{error}"));
            }
            Self::Targets => off(&["targets.down", "targets.up"]),
        }
    }

    /// What a caller may be told whose call has no answer yet.
    fn told(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Targets => &[(403, "target_not_allowed")],
            // Half an hour without a byte is too slow for an upload as well.
            Self::Idle => &[(401, "session_ended"), (400, "invalid_request")],
            _ => &[(401, "session_ended")],
        }
    }
}

/// Both ends of a download and of an upload.
struct Transfers {
    download: TcpStream,
    upload: TcpStream,
}

async fn rest(mut socket: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = socket.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_broken_off_when_the_session_ends() {
    for backend in BACKENDS {
        let (down, came, gone) = waiting(HALF).await;
        let (up, begun, broken) = taking().await;
        let (stack, _) =
            signed_in(backend, &format!("{}{}", patient("down", &down), patient("up", &up))).await;
        for (before, end) in ENDS.into_iter().enumerate() {
            let session = session(&stack).await;
            let mut transfers = Transfers {
                download: open(&stack, &session, "GET /v1/targets/down/x", "", "").await,
                upload: open(
                    &stack,
                    &session,
                    "POST /v1/targets/up/x",
                    "transfer-encoding: chunked\r\n",
                    "5\r\nfirst\r\n",
                )
                .await,
            };
            let mut line = [0; 15];
            transfers.download.read_exact(&mut line).await.expect("the answer has begun");
            assert_eq!(&line, b"HTTP/1.1 200 OK");
            let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
            stack.eventually("both are under way", async || count(&begun) == before + 1).await;
            assert_eq!((count(&came), count(&gone), count(&broken)), (before + 1, before, before), "{end:?}");
            end.happens(&stack, &session).await;
            // Some seconds at most: this gives up long before the session's idle end.
            stack
                .eventually("both targets are let go", async || {
                    stack.clock.advance(Duration::from_millis(500));
                    count(&gone) == before + 1 && count(&broken) == before + 1
                })
                .await;
            let half = rest(transfers.download).await;
            assert!(half.contains("content-length: 1000") && half.ends_with("half"), "{end:?}: {half}");
            let answer = rest(transfers.upload).await;
            let (status, code, whose) = problem(&answer);
            assert!(end.told().contains(&(status, code.as_str())), "{end:?}: {answer}");
            assert_eq!(whose, "relais");
            stack.reload(&stack.config);
            let status = if matches!(end, End::Targets) { 200 } else { 401 };
            session.get("/v1/session").await.expect(status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_nothing_keeps_nothing_open() {
    // The target sends without end, and nobody reads it.
    let (told, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (telling, going) = (told.clone(), gone.clone());
    let downstream = Downstream::new(move |mut connection: Connection| {
        let (telling, going) = (telling.clone(), going.clone());
        async move {
            use tokio::io::AsyncWriteExt as _;
            connection.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let much = vec![b'x'; 64 * 1024];
            while connection.stream.write_all(&much).await.is_ok() {
                telling.fetch_add(1, Ordering::SeqCst);
            }
            going.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let (stack, session) = signed_in(Backend::Sqlite, &patient("raw", &downstream)).await;
    let unread = open(&stack, &session, "GET /v1/targets/raw/x", "", "").await;
    stack.eventually("it sends", async || told.load(Ordering::SeqCst) > 0).await;
    session.delete("/v1/session").await.expect(204);
    stack.eventually("the target is let go", async || gone.load(Ordering::SeqCst) == 1).await;
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_that_may_no_longer_act_with_the_session_is_broken_off_and_its_holder_is_not() {
    let (downstream, came, gone) = waiting(HALF).await;
    let sections = format!("{}{HUB}", patient("raw", &downstream))
        .replace("[\"desk\"]\nmethods", "[\"desk\", \"hub\"]\nmethods");
    let (stack, session) = signed_in(Backend::Sqlite, &sections).await;
    let hub = stack.relais.basic("hub", "a-secret-of-the-hub").header("relais-session", &session.token());
    let mut of_hub = hub.open("/v1/targets/raw/x").await;
    let mut of_holder = session.open("/v1/targets/raw/x").await;
    for response in [&mut of_hub, &mut of_holder] {
        assert_eq!(response.chunk().await.expect("a part").expect("a part"), "half");
    }
    assert_eq!((came.load(Ordering::SeqCst), gone.load(Ordering::SeqCst)), (2, 0));
    stack.reload(&stack.config.replace("acts_for = [\"desk\"]", "acts_for = []"));
    stack
        .eventually("one is let go", async || {
            stack.clock.advance(Duration::from_millis(500));
            gone.load(Ordering::SeqCst) == 1
        })
        .await;
    assert!(of_hub.chunk().await.is_err(), "half an answer is not taken for a whole one");
    session.get("/v1/session").await.expect(200);
    // Time enough for whatever would look at the other one too.
    stack.clock.advance_slowly(Duration::from_secs(20), Duration::from_millis(500)).await;
    assert_eq!(gone.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_another_node_hears_of_breaks_off_what_is_under_way_here() {
    let (down, _, gone) = waiting(HALF).await;
    let (up, begun, broken) = taking().await;
    let sections = format!("{}{}{FOR_PROVIDERS}", patient("down", &down), patient("up", &up));
    let (stack, session) = signed_in(Backend::Postgres, &sections).await;
    let node = stack.another_node().await;
    let address = node.relais.base().strip_prefix("http://").expect("plain").parse().expect("an address");
    let mut download = open_at(address, &session, "GET /v1/targets/down/x", "", "").await;
    let headers = "transfer-encoding: chunked\r\n";
    let upload = open_at(address, &session, "POST /v1/targets/up/x", headers, "5\r\nfirst\r\n").await;
    let mut line = [0; 15];
    download.read_exact(&mut line).await.expect("the answer has begun");
    stack.eventually("both are under way", async || begun.load(Ordering::SeqCst) == 1).await;
    // The person leaves at the provider, which tells the first node.
    let uri = format!("{}/providers/psc/backchannel-logout", stack.notified().base());
    stack.settings(json!({ "backchannel_logout_uri": uri })).await;
    stack.phone.post("/_sim/logouts", json!({ "login_hint": DOCTOR })).await.expect(200);
    stack
        .eventually("both targets are let go", async || {
            (gone.load(Ordering::SeqCst), broken.load(Ordering::SeqCst)) == (1, 1)
        })
        .await;
    assert!(rest(download).await.ends_with("half"));
    let answer = rest(upload).await;
    assert_eq!(problem(&answer).1, "session_ended", "{answer}");
    assert!(answer.contains("\"reason\":\"idp_logout\""), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_no_use_and_other_uses_keep_it_alive() {
    for backend in BACKENDS {
        let (down, _, gone) = waiting(HALF).await;
        let (stack, _) = signed_in(backend, &patient("down", &down)).await;
        // The provider's tokens are not what ends this session.
        stack.settings(json!({ "refresh_token_seconds": 4 * 3600 })).await;
        let session = session(&stack).await;
        let mut response = session.open("/v1/targets/down/x").await;
        assert_eq!(response.chunk().await.expect("a part").expect("a part"), "half");
        for _ in 0..4 {
            stack.clock.advance_slowly(Duration::from_mins(10), Duration::from_mins(1)).await;
            session.get("/v1/session").await.expect(200);
        }
        assert_eq!(gone.load(Ordering::SeqCst), 0, "longer than the idle time, and the session was used");
        stack.clock.advance(Duration::from_mins(30));
        stack
            .eventually("idle for want of use", async || {
                stack.clock.advance(Duration::from_millis(500));
                gone.load(Ordering::SeqCst) == 1
            })
            .await;
        assert!(response.chunk().await.is_err());
        session.get("/v1/session").await.expect_problem(401, "session_ended");
    }
}
