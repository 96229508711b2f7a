//! Nodes wake each other: `NOTIFY` after the commit, `LISTEN` on a connection of its own.
//!
//! One task per node gathers what changed for at most 5 ms and sends it in one statement. It is never part of a
//! change's transaction: commits with a notification inside take a lock that lets only one of them through at a time.
//! A message may be lost; whoever waits also reads once a second.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::ids::{LoginId, SessionId};
use crate::engine::ports::{Changed, Wake, WakeSignal};

const CHANNEL: &str = "relais_changed";
/// How long changes are gathered.
const GATHER: Duration = Duration::from_millis(5);
/// The most in one message: 33 characters each, of PostgreSQL's 8000.
const PER_MESSAGE: usize = 200;
const OUTGOING: usize = 4096;
const INCOMING: usize = 1024;
/// How long to wait before trying to reach the server again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a message may take to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends and hears.
pub(super) struct Notifier {
    outgoing: mpsc::Sender<Changed>,
    options: PgConnectOptions,
}

impl Notifier {
    /// Starts the task that sends; it ends when this is dropped.
    pub fn start(options: PgConnectOptions) -> Self {
        let (outgoing, changes) = mpsc::channel(OUTGOING);
        tokio::spawn(send_all(options.clone(), changes));
        Self { outgoing, options }
    }
}

impl Wake for Notifier {
    fn publish(&self, changed: Changed) {
        // A full queue means that the server is not reached; the reading once a second takes over.
        let _ = self.outgoing.try_send(changed);
    }

    fn signals(&self) -> mpsc::Receiver<WakeSignal> {
        let (heard, signals) = mpsc::channel(INCOMING);
        tokio::spawn(listen(self.options.clone(), heard));
        signals
    }
}

async fn send_all(options: PgConnectOptions, mut changes: mpsc::Receiver<Changed>) {
    let mut connection: Option<PgConnection> = None;
    while let Some(first) = changes.recv().await {
        let mut batch = vec![first];
        let gather = async {
            while batch.len() < PER_MESSAGE
                && let Some(next) = changes.recv().await
            {
                batch.push(next);
            }
        };
        let _ = tokio::time::timeout(GATHER, gather).await;
        batch.dedup();
        let message = encode(&batch);
        if tokio::time::timeout(SEND_TIMEOUT, send(&options, &mut connection, message)).await.is_err() {
            connection = None;
        }
    }
}

/// Sends on the open connection, or on a new one. What cannot be sent is lost, and that is allowed.
async fn send(options: &PgConnectOptions, connection: &mut Option<PgConnection>, message: String) {
    for _ in 0..2 {
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => options.connect().await,
        };
        let Ok(mut open) = open else { return };
        let sent = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&message).execute(&mut open);
        if sent.await.is_ok() {
            *connection = Some(open);
            return;
        }
    }
}

async fn listen(options: PgConnectOptions, heard: mpsc::Sender<WakeSignal>) {
    while !heard.is_closed() {
        tokio::select! {
            () = heard.closed() => return,
            _ = hear(&options, &heard) => {}
        }
        let _ = tokio::time::timeout(RETRY, heard.closed()).await;
    }
}

/// Listens until the connection is lost.
async fn hear(options: &PgConnectOptions, heard: &mpsc::Sender<WakeSignal>) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with(options.clone())
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    // Whatever was sent while nobody listened is lost.
    let _ = heard.send(WakeSignal::ReadAll).await;
    loop {
        match listener.try_recv().await? {
            Some(message) => pass_on(heard, message.payload()),
            // Listening again, after a gap.
            None => pass_on(heard, ""),
        }
    }
}

/// A listener that waits for its hearer would let the server's queue grow: what does not fit becomes a reading of
/// everything.
fn pass_on(heard: &mpsc::Sender<WakeSignal>, message: &str) {
    let signals = decode(message).unwrap_or_else(|| vec![WakeSignal::ReadAll]);
    let fits = heard.capacity() > signals.len();
    let signals = if fits { signals } else { vec![WakeSignal::ReadAll] };
    for signal in signals {
        let _ = heard.try_send(signal);
    }
}

/// `l`, `s` or `a` and 32 hexadecimal digits, one after the other.
fn encode(batch: &[Changed]) -> String {
    let mut message = String::with_capacity(batch.len() * 33);
    for changed in batch {
        let (kind, id) = match changed {
            Changed::Login(LoginId(id)) => ('l', id),
            Changed::Session(SessionId(id)) => ('s', id),
            Changed::Announced(LoginId(id)) => ('a', id),
        };
        message.push(kind);
        message.push_str(id.simple().encode_lower(&mut Uuid::encode_buffer()));
    }
    message
}

/// `None` for what is no such list: then everything is read.
fn decode(message: &str) -> Option<Vec<WakeSignal>> {
    if message.is_empty() || !message.is_ascii() || !message.len().is_multiple_of(33) {
        return None;
    }
    let parts = message.as_bytes().chunks(33);
    parts
        .map(|part| {
            let id = Uuid::try_parse_ascii(part.get(1..)?).ok()?;
            match part.first()? {
                b'l' => Some(WakeSignal::Changed(Changed::Login(LoginId(id)))),
                b's' => Some(WakeSignal::Changed(Changed::Session(SessionId(id)))),
                b'a' => Some(WakeSignal::Changed(Changed::Announced(LoginId(id)))),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_heard() {
        let batch = [
            Changed::Login(LoginId(Uuid::from_u128(1))),
            Changed::Session(SessionId(Uuid::from_u128(u128::MAX))),
            Changed::Announced(LoginId(Uuid::from_u128(2))),
        ];
        let heard = decode(&encode(&batch)).expect("well-formed");
        assert_eq!(heard, batch.map(WakeSignal::Changed).to_vec());
    }

    #[test]
    fn a_message_that_is_no_list_means_to_read_everything() {
        for message in ["", "x", "x00000000000000000000000000000001", &"é".repeat(33)] {
            assert_eq!(decode(message), None, "{message}");
        }
    }

    #[test]
    fn a_full_message_fits_into_a_notification() {
        let batch = vec![Changed::Login(LoginId(Uuid::nil())); PER_MESSAGE];
        assert!(encode(&batch).len() < 8000);
    }
}
