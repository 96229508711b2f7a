//! A sign-in in the terminal: the two digits big, the sentence of each step, the seconds that are left.
//!
//! The verbs `login` and `demo` drive it. It draws with plain ASCII, because a help desk's terminal may know
//! nothing else, and never shows a secret.

use std::io::Write;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::output::printable;
use crate::client::{
    Client, ClientError, LoginObject, Outcome, Received, SessionObject, StartLogin, Started,
};
use crate::domain::clock::{Clock, Monotonic};
use crate::domain::texts::Language;

/// How long giving a login up may take before the terminal is given back.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(15);

/// Sees a sign-in as it goes on.
pub trait Observer: Send {
    /// The login has been started, or has changed.
    fn login(&mut self, login: &Received<LoginObject>);

    /// A second has passed while somebody decides.
    fn tick(&mut self, seconds_left: u64) {
        let _ = seconds_left;
    }
}

/// How a sign-in in the terminal ended.
pub enum SignIn {
    /// As sign-ins end.
    Done(Outcome),
    /// Interrupted: the login, where one had been started, is cancelled, and this is how it stands.
    Interrupted(Option<Box<Received<LoginObject>>>),
}

/// Signs one person in while `observer` looks on; `interrupt` (Ctrl-C) cancels the login first.
///
/// # Errors
/// [`ClientError`]: the start was refused, or the server stayed silent.
pub async fn sign_in(
    client: &Client,
    start: &StartLogin,
    idempotency_key: Uuid,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
    interrupt: impl Future<Output = ()> + Send,
) -> Result<SignIn, ClientError> {
    tokio::pin!(interrupt);
    let starting = client.start(start, idempotency_key);
    tokio::pin!(starting);
    let started = tokio::select! {
        started = &mut starting => started?,
        () = &mut interrupt => {
            // The request may be on its way to a phone already: only its answer says what to cancel.
            return match tokio::time::timeout(ABANDON_TIMEOUT, starting).await {
                Ok(started) => abandoned(client, &started?).await,
                Err(_) => Ok(SignIn::Interrupted(None)),
            };
        }
    };
    let (changes, mut seen) = mpsc::unbounded_channel();
    let following = client.follow(&started, move |login| {
        // Nobody listens any more once the sign-in is being given up.
        let _ = changes.send(login.clone());
    });
    tokio::pin!(following);
    let mut ends_at = None;
    loop {
        tokio::select! {
            biased;
            Some(login) = seen.recv() => {
                ends_at = login.is_open().then(|| clock.monotonic() + Duration::from_secs(login.expires_in));
                observer.login(&login);
            }
            outcome = &mut following => {
                while let Ok(login) = seen.try_recv() {
                    observer.login(&login);
                }
                return outcome.map(SignIn::Done);
            }
            () = &mut interrupt => return abandoned(client, &started).await,
            () = clock.sleep(Duration::from_secs(1)) => {
                if let Some(ends_at) = ends_at {
                    observer.tick(seconds_until(ends_at, clock.monotonic()));
                }
            }
        }
    }
}

async fn abandoned(client: &Client, started: &Started) -> Result<SignIn, ClientError> {
    let giving_up = async {
        client.abandon(started).await?;
        client.login(started.login.login_id, &started.login_token, None).await
    };
    match tokio::time::timeout(ABANDON_TIMEOUT, giving_up).await {
        Ok(login) => Ok(SignIn::Interrupted(Some(Box::new(login?)))),
        Err(_) => Ok(SignIn::Interrupted(None)),
    }
}

fn seconds_until(end: Monotonic, now: Monotonic) -> u64 {
    end.since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// A sign-in drawn for the person who sits there.
pub struct Screen<W> {
    out: W,
    animated: bool,
    language: Language,
    shown_code: Option<String>,
    shown_message: String,
    line_open: bool,
}

impl<W: Write + Send> Screen<W> {
    /// Draws on `out`; `animated` where a line may be written over, as a terminal's.
    pub fn new(out: W, animated: bool, language: Language) -> Self {
        Self { out, animated, language, shown_code: None, shown_message: String::new(), line_open: false }
    }

    /// Shows a session, without what opens it.
    pub fn session(&mut self, session: &SessionObject) {
        let subject = &session.subject;
        let who = subject.name.as_deref().or(subject.national_id.as_deref()).unwrap_or(&subject.sub);
        let [person, ends, code] = match self.language {
            Language::French => ["Personne", "Fin au plus tard", "Code d’assistance"],
            Language::English => ["Person", "Ends at the latest", "Support code"],
        };
        self.line(&format!("{person}: {who}"));
        for exercice in &subject.exercices {
            let profession = exercice.profession.label.as_deref().unwrap_or(&exercice.profession.code);
            let site = exercice.site.as_ref().and_then(|site| site.name.as_deref());
            self.line(&format!(
                "  - {profession}{}",
                site.map(|site| format!(", {site}")).unwrap_or_default()
            ));
        }
        self.line(&format!("{ends}: {}", session.expires_at));
        self.line(&format!("{code}: {}", session.support_code));
    }

    /// Writes text below whatever stands there, without what a terminal obeys.
    pub fn line(&mut self, text: &str) {
        self.clear_progress();
        // A terminal that went away changes nothing about the login.
        let _ = writeln!(self.out, "{}", printable(text));
        let _ = self.out.flush();
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.line_open) {
            let _ = write!(self.out, "\r{:60}\r", "");
        }
    }
}

impl<W: Write + Send> Observer for Screen<W> {
    fn login(&mut self, login: &Received<LoginObject>) {
        if login.is_open() && self.shown_code.as_ref() != Some(&login.binding_message) {
            self.line(&format!("\n{}", big(&login.binding_message)));
            self.shown_code = Some(login.binding_message.clone());
        }
        if self.shown_message != login.user_message {
            self.line(&login.user_message);
            self.shown_message.clone_from(&login.user_message);
        }
    }

    fn tick(&mut self, seconds_left: u64) {
        if !self.animated {
            return;
        }
        let bar = "#".repeat(usize::try_from(seconds_left.min(120) / 4).unwrap_or(0));
        let left = match self.language {
            Language::French => format!("encore {seconds_left} s"),
            Language::English => format!("{seconds_left} s left"),
        };
        let _ = write!(self.out, "\r{:60}", format!("[{bar:30}] {left}"));
        let _ = self.out.flush();
        self.line_open = true;
    }
}

/// Rows of the digits 0–9, five columns each.
const DIGITS: [[&str; 5]; 10] = [
    [" ### ", "#   #", "#   #", "#   #", " ### "],
    ["  #  ", " ##  ", "  #  ", "  #  ", " ### "],
    ["#### ", "    #", " ### ", "#    ", "#####"],
    ["#### ", "    #", " ### ", "    #", "#### "],
    ["#   #", "#   #", "#####", "    #", "    #"],
    ["#####", "#    ", "#### ", "    #", "#### "],
    [" ### ", "#    ", "#### ", "#   #", " ### "],
    ["#####", "    #", "   # ", "  #  ", "  #  "],
    [" ### ", "#   #", " ### ", "#   #", " ### "],
    [" ### ", "#   #", " ####", "    #", " ### "],
];

/// The code of both screens, large where it is a few digits, else as it is.
#[must_use]
pub fn big(code: &str) -> String {
    let digits: Option<Vec<_>> =
        code.chars().map(|c| c.to_digit(10).and_then(|digit| DIGITS.get(digit as usize))).collect();
    match digits {
        Some(digits) if (1..=8).contains(&digits.len()) => {
            let mut drawn = String::new();
            for row in 0..5 {
                drawn.push_str("   ");
                for digit in &digits {
                    drawn.push_str("  ");
                    drawn.push_str(digit[row]);
                }
                drawn.truncate(drawn.trim_end().len());
                drawn.push('\n');
            }
            drawn
        }
        _ => format!("     {code}\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn login(status: &str, code: &str, message: &str) -> Received<LoginObject> {
        let json = json!({
            "login_id": "018f0000-0000-7000-8000-000000000000", "status": status, "version": 1,
            "hint": "confirm_on_phone", "user_message": message, "support_code": "K7QM-2P4X",
            "binding_message": code, "login_hint": "899700000001", "registration": "psc-demo",
            "environment": "test", "expires_at": "2026-11-22T02:00:00Z", "expires_in": 118, "poll_after_ms": 1000,
        });
        Received { view: serde_json::from_value(json.clone()).unwrap(), json }
    }

    fn drawn(draw: impl FnOnce(&mut Screen<&mut Vec<u8>>), animated: bool) -> String {
        let mut out = Vec::new();
        draw(&mut Screen::new(&mut out, animated, Language::French));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn two_digits_are_five_ascii_rows_side_by_side() {
        assert_eq!(
            big("42"),
            "     #   #  ####\n     #   #      #\n     #####   ###\n         #  #\n         #  #####\n"
        );
        assert!(DIGITS.iter().flatten().all(|row| row.len() == 5 && row.is_ascii()));
        assert_eq!(DIGITS.iter().collect::<HashSet<_>>().len(), 10);
    }

    #[test]
    fn a_code_that_is_no_number_is_written_as_it_is() {
        assert_eq!(big("W4SCT"), "     W4SCT\n");
        assert_eq!(big("4٢"), "     4٢\n");
    }

    #[test]
    fn code_and_sentence_are_shown_once_until_they_change() {
        let text = drawn(
            |screen| {
                screen.login(&login("starting", "42", "un"));
                screen.login(&login("pending", "42", "deux"));
                screen.login(&login("pending", "42", "deux"));
                screen.login(&login("denied", "42", "trois"));
            },
            false,
        );
        assert_eq!(text, format!("\n{}\nun\ndeux\ntrois\n", big("42")));
        assert!(!text.contains("899700000001"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(drawn(|screen| screen.line("a\u{1b}[2Jb\u{9b}c\u{202e}\u{200b}d"), true), "a[2Jbcd\n");
    }

    #[test]
    fn the_countdown_is_written_over_and_only_in_a_terminal() {
        let ticks = |animated| {
            drawn(
                |screen| {
                    screen.tick(8);
                    screen.line("fin");
                },
                animated,
            )
        };
        assert_eq!(ticks(false), "fin\n");
        let animated = ticks(true);
        assert!(animated.starts_with("\r[##  ") && animated.contains("encore 8 s"), "{animated}");
        assert!(animated.ends_with("\rfin\n"));
    }
}
