//! A connection that is lost while `COMMIT` is under way (R-I-05).
//!
//! A proxy between the store and PostgreSQL cuts either before `COMMIT` has arrived or after it has been carried out;
//! from the outside the two look the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use relais::crypto::random::SystemRandom;
use relais::domain::login::{EndStatus, LoginStatus};
use relais::domain::secret::Secret;
use relais::engine::ports::{PickUpOutcome, Store, StoreError};
use relais::store::postgres::PostgresStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{
    HINT, Harness, acknowledge, application, approve, end_login, holder, ring, started, won,
};

/// What the proxy does at the next `COMMIT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Cut {
    Never = 0,
    /// `COMMIT` is not forwarded.
    Before = 1,
    /// `COMMIT` is forwarded and carried out; its answer is not passed on.
    After = 2,
    /// Like `Before`, and then [`Cut::Gone`].
    ForGood = 3,
    /// Nothing is let through any more, on old connections or new ones.
    Gone = 4,
}

#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let proxy = Self { address, cut: Arc::new(AtomicU8::new(0)) };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !accepting.is(Cut::Gone) {
                    tokio::spawn(accepting.clone().serve(client, server));
                }
            }
        });
        proxy
    }

    fn arm(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    fn is(&self, cut: Cut) -> bool {
        self.cut.load(Ordering::SeqCst) == cut as u8
    }

    fn disarm(&self, cut: Cut) -> bool {
        let after = if cut == Cut::ForGood { Cut::Gone } else { Cut::Never };
        self.cut.compare_exchange(cut as u8, after as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Passes bytes on until one side closes or it is time to cut; both sides are then closed.
    async fn serve(self, mut client: TcpStream, server: SocketAddr) -> Option<()> {
        let mut server = TcpStream::connect(server).await.ok()?;
        let (mut from_client, mut from_server) = ([0; 16_384], [0; 16_384]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let bytes = from_client.get(..read.ok().filter(|read| *read > 0)?)?;
                    // The simple query protocol: `Q`, four bytes of length, the text, a zero.
                    let commits = bytes.windows(7).any(|window| window == b"COMMIT\0");
                    let cut = commits && (self.disarm(Cut::Before) || self.disarm(Cut::ForGood));
                    if cut || self.is(Cut::Gone) {
                        return None;
                    }
                    server.write_all(bytes).await.ok()?;
                    if commits && self.disarm(Cut::After) {
                        // The answer says that it is done; nobody else hears it.
                        return server.read(&mut from_server).await.ok().map(|_| ());
                    }
                }
                read = server.read(&mut from_server) => {
                    let bytes = from_server.get(..read.ok().filter(|read| *read > 0)?)?;
                    client.write_all(bytes).await.ok()?;
                }
            }
        }
    }
}

/// A store behind a proxy, and the same database in front of it.
async fn behind_a_proxy() -> (Harness, Arc<dyn Store>, Proxy) {
    let h = Harness::postgres().await;
    let mut url = url::Url::parse(h.url.expose()).expect("a URL");
    let host = url.host_str().expect("has a host").to_owned();
    let server = tokio::net::lookup_host((host, url.port().unwrap_or(5432)))
        .await
        .expect("resolves")
        .next()
        .expect("has an address");
    let proxy = Proxy::before(server).await;
    url.set_host(Some("127.0.0.1")).expect("a URL with a host");
    url.set_port(Some(proxy.address.port())).expect("a URL with a port");
    let url = Secret::new(url.to_string());
    let store = PostgresStore::connect(&url, None, ring("2026-11"), Arc::new(SystemRandom))
        .await
        .expect("the proxy lets it through")
        .store();
    (h, store, proxy)
}

async fn every_transition_is_settled(cut: Cut) {
    let (h, store, proxy) = behind_a_proxy().await;
    for round in 0..5 {
        let hint = format!("{HINT}-{round}");
        let new = h.new_login(&hint);
        let login_id = new.login.login_id;
        proxy.arm(cut);
        started(store.start_login(new.clone(), &application()).await.expect("settled"));
        assert!(proxy.is(Cut::Never), "the proxy has cut");
        proxy.arm(cut);
        won(store.acknowledge(acknowledge(login_id)).await.expect("settled"));
        proxy.arm(cut);
        won(store.approve(approve(login_id)).await.expect("settled"));
        proxy.arm(cut);
        let handle = format!("rsh_{round}");
        let outcome = store.pick_up(h.pick_up(&new.login, &handle), &holder()).await.expect("settled");
        let PickUpOutcome::First(session) = outcome else { panic!("not the first") };
        assert!(proxy.is(Cut::Never), "the proxy has cut");
        proxy.arm(cut);
        let again = h.pick_up(&new.login, &format!("{handle}_again"));
        let outcome = store.pick_up(again, &holder()).await.expect("settled");
        assert!(matches!(outcome, PickUpOutcome::Repeated(_)));
        let opened = store.session_by_handle(&[h.handle(&format!("{handle}_again"))]).await.expect("works");
        assert_eq!(opened.expect("opens").session.session_id, session.session_id);
    }
    // Done once each, not twice.
    assert_eq!(h.raw.number("SELECT count(*) FROM audit").await, 25);
    assert_eq!(h.raw.number("SELECT count(*) FROM handles").await, 10);
    assert_eq!(h.raw.number("SELECT count(*) FROM sessions").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_05_a_commit_that_did_not_arrive_is_made_again() {
    every_transition_is_settled(Cut::Before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_05_a_commit_that_arrived_is_recognised() {
    every_transition_is_settled(Cut::After).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_05_a_replacement_whose_commit_arrived_says_what_it_replaced() {
    let (h, store, proxy) = behind_a_proxy().await;
    let old = h.pending(HINT).await;
    let mut new = h.new_login(HINT);
    new.replace = true;
    proxy.arm(Cut::After);
    let replaced = started(store.start_login(new, &application()).await.expect("settled"));
    assert_eq!(replaced, Some(old.login.login_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_05_the_loser_of_a_race_still_learns_that_it_lost() {
    let (h, store, proxy) = behind_a_proxy().await;
    let new = h.pending(HINT).await;
    let login_id = new.login.login_id;
    won(h.store.end_login(end_login(login_id, EndStatus::Cancelled), &holder()).await.expect("works"));
    proxy.arm(Cut::Before);
    let late = super::harness::lost(store.approve(approve(login_id)).await.expect("settled"));
    assert_eq!(late.state.status(), LoginStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r_i_05_without_a_database_the_answer_is_unavailable_and_not_a_guess() {
    let (h, store, proxy) = behind_a_proxy().await;
    let new = h.pending(HINT).await;
    proxy.arm(Cut::ForGood);
    let call = store.approve(approve(new.login.login_id));
    let outcome = tokio::time::timeout(Duration::from_secs(20), call).await.expect("bounded");
    let error = outcome.err().expect("nothing was committed");
    assert!(matches!(error, StoreError::Unavailable { operation: "approve", .. }), "{error:?}");
    assert_eq!(h.status(new.login.login_id).await, LoginStatus::Pending);
}
