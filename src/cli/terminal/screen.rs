//! What a person sees of a sign-in in the terminal: the two digits big, the sentence of each step, the time that is
//! left, how it ended.
//!
//! It draws with plain ASCII, because a help desk's terminal may know nothing else. It never shows a secret, and
//! nothing that it is told drives the terminal.

use std::io::Write;

use super::{Asking, Observer};
use crate::cli::output::{printable, with_causes};
use crate::client::{ClientError, LoginObject, Received, SessionObject, Word};
use crate::domain::login::{LoginReason, LoginStatus};
use crate::domain::texts::{Language, login_title, problem_title};
use crate::domain::time::Timestamp;

/// Columns that are written to: those of the narrowest terminal in use, less the last.
const WIDTH: usize = 79;
/// Columns before what stands below a headline.
const INDENT: usize = 5;

/// A sign-in drawn for the person who sits there.
pub struct Screen<W> {
    out: W,
    animated: bool,
    language: Language,
    shown_code: Option<String>,
    shown_message: String,
    /// Seconds that the shown state had at its start.
    life: u64,
    line_open: bool,
    /// What the line of the countdown says beside it.
    way_out: &'static str,
}

impl<W: Write + Send> Screen<W> {
    /// Draws on `out`; `animated` where a line may be written over, as a terminal's.
    pub fn new(out: W, animated: bool, language: Language) -> Self {
        let (shown_code, shown_message) = (None, String::new());
        Self { out, animated, language, shown_code, shown_message, life: 1, line_open: false, way_out: "" }
    }

    /// The same, where Ctrl-C cancels the login.
    #[must_use]
    pub fn cancelled_by_ctrl_c(self) -> Self {
        let way_out = match self.language {
            Language::French => "   (Ctrl-C annule)",
            Language::English => "   (Ctrl-C cancels)",
        };
        Self { way_out, ..self }
    }

    /// Shows a session, without what opens it.
    pub fn session(&mut self, session: &SessionObject) {
        let subject = &session.subject;
        let who = subject.name.as_deref().or(subject.national_id.as_deref()).unwrap_or(&subject.sub);
        let french = self.language == Language::French;
        self.headline(true, login_title(LoginStatus::PickedUp, None, self.language));
        self.fact(if french { "Personne" } else { "Person" }, who);
        for exercice in &subject.exercices {
            let profession = exercice.profession.label.as_deref().unwrap_or(&exercice.profession.code);
            let site = exercice.site.as_ref().and_then(|site| site.name.as_deref());
            self.line(&format!(
                "{:INDENT$}- {profession}{}",
                "",
                site.map(|site| format!(", {site}")).unwrap_or_default()
            ));
        }
        let ends = until(session.expires_at, session.expires_in, self.language);
        self.fact(if french { "Fin au plus tard" } else { "Ends at the latest" }, &ends);
        self.support_code(&session.support_code);
    }

    /// Says why a call brought nothing: what that is called, what to do, and the words for whoever helps.
    pub fn refused(&mut self, error: &ClientError) {
        let french = self.language == Language::French;
        let ClientError::Problem(problem) = error else {
            self.headline(false, if french { "Relais ne répond pas" } else { "Relais does not answer" });
            return self.sentence(&format!("({})", with_causes(error)), INDENT);
        };
        self.headline(false, problem_title(&problem.code, self.language));
        self.sentence(&problem.user_message, INDENT);
        let retry_after = problem.retry_after.map(|after| after.as_secs());
        if let Some(seconds) = problem.expires_in.or(retry_after) {
            self.fact(
                if french { "Nouvel essai possible dans" } else { "Try again in" },
                &format!("{seconds} s"),
            );
        }
        if let Some(code) = &problem.support_code {
            self.support_code(code);
        }
        let detail = problem.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        self.sentence(&format!("({problem}{detail})"), INDENT);
    }

    /// Leaves nothing that the next line of somebody else would stand behind.
    pub fn rest(&mut self) {
        self.clear_progress();
        let _ = self.out.flush();
    }

    /// Writes text below whatever stands there, without what a terminal obeys.
    pub fn line(&mut self, text: &str) {
        self.clear_progress();
        // A terminal that went away changes nothing about the login.
        let _ = writeln!(self.out, "{}", printable(text));
        let _ = self.out.flush();
    }

    /// How something ended.
    fn headline(&mut self, well: bool, title: &str) {
        if self.shown_code.take().is_some() {
            self.line("");
        }
        self.line(&format!("{} {title}", if well { "[ok]" } else { "[--]" }));
    }

    /// A sentence of Relais; in a terminal, its lines end between words.
    fn sentence(&mut self, text: &str, indent: usize) {
        if !self.animated {
            return self.line(text);
        }
        for line in wrapped(text, WIDTH - indent) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn fact(&mut self, name: &str, value: &str) {
        let colon = if self.language == Language::French { "\u{a0}:" } else { ":" };
        self.line(&format!("{:INDENT$}{name}{colon} {value}", ""));
    }

    fn support_code(&mut self, code: &str) {
        let name = if self.language == Language::French { "Code d’assistance" } else { "Support code" };
        self.fact(name, code);
    }

    /// A line that the next one is written over.
    fn progress(&mut self, text: &str) {
        if self.animated {
            // The cursor stays behind the text: what is typed there is written over too.
            let _ = write!(self.out, "\r{text:WIDTH$}\r{text}");
            let _ = self.out.flush();
            self.line_open = true;
        }
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.line_open) {
            let _ = write!(self.out, "\r{:WIDTH$}\r", "");
        }
    }
}

impl<W: Write + Send> Observer for Screen<W> {
    fn login(&mut self, login: &Received<LoginObject>) {
        if login.is_open() && self.shown_code.as_ref() != Some(&login.binding_message) {
            self.line(&format!("\n{}", big(&login.binding_message)));
            self.shown_code = Some(login.binding_message.clone());
        }
        if self.shown_message == login.user_message {
            return;
        }
        self.life = login.expires_in.max(1);
        self.shown_message.clone_from(&login.user_message);
        let ended = ended_as(login);
        if let Some((status, reason)) = ended {
            self.headline(false, login_title(status, reason, self.language));
        }
        self.sentence(&login.user_message, if ended.is_some() { INDENT } else { 0 });
        if ended.is_some() {
            self.support_code(&login.support_code);
        }
    }

    fn tick(&mut self, seconds_left: u64) {
        let bar = "#".repeat(usize::try_from(seconds_left * 30 / self.life).unwrap_or(30).min(30));
        let (minutes, seconds) = (seconds_left / 60, seconds_left % 60);
        let left = if minutes > 0 { format!("{minutes} min {seconds} s") } else { format!("{seconds} s") };
        let way_out = self.way_out;
        self.progress(&match self.language {
            Language::French => format!("[{bar:30}] encore {left}{way_out}"),
            Language::English => format!("[{bar:30}] {left} left{way_out}"),
        });
    }

    fn asking(&mut self, what: Asking) {
        let title = match what {
            Asking::Start => login_title(LoginStatus::Starting, None, self.language),
            Asking::Cancel if self.language == Language::French => "Annulation",
            Asking::Cancel => "Cancelling",
        };
        self.progress(&format!("{title}..."));
    }
}

/// How a login ended without a session; `None` while it may still come to one.
fn ended_as(login: &LoginObject) -> Option<(LoginStatus, Option<LoginReason>)> {
    let status = login.status.known().unwrap_or(LoginStatus::Failed);
    let goes_on = status.is_open() || matches!(status, LoginStatus::Approved | LoginStatus::PickedUp);
    (!goes_on).then(|| (status, login.reason.as_ref().and_then(Word::known)))
}

/// A time of day as people write it, and how long it is until then. The place's own time is not known here.
fn until(at: Timestamp, seconds: u64, language: Language) -> String {
    let text = at.to_string();
    let time = text.get(11..16).unwrap_or(&text);
    let left = match (seconds / 3600, seconds % 3600 / 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02}"),
    };
    match language {
        Language::French => format!("{time} UTC (dans {left})"),
        Language::English => format!("{time} UTC (in {left})"),
    }
}

/// The text in lines of at most `width` characters, where its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        let length = line.chars().count();
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
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
        let end = "\n[--] Demande refusée\ntrois\n     Code d’assistance\u{a0}: K7QM-2P4X\n";
        assert_eq!(text, format!("\n{}\nun\ndeux\n{end}", big("42")));
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
        assert!(animated.starts_with("\r[####") && animated.contains("encore 8 s"), "{animated}");
        assert!(animated.ends_with("\rfin\n"));
        let later = drawn(
            |screen| {
                screen.login(&login("pending", "42", "un"));
                screen.tick(118);
                screen.tick(59);
            },
            true,
        );
        let full = format!("[{}] encore 1 min 58 s", "#".repeat(30));
        let half = format!("[{}{}] encore 59 s", "#".repeat(15), " ".repeat(15));
        assert!(later.contains(&full) && later.contains(&half), "{later}");
        assert!(later.split(['\r', '\n']).all(|line| line.chars().count() < 80), "{later}");
    }

    #[test]
    fn what_relais_is_asked_for_is_written_over_by_its_answer() {
        let asked = |animated| {
            drawn(
                |screen| {
                    screen.asking(Asking::Start);
                    screen.asking(Asking::Cancel);
                    screen.login(&login("cancelled", "42", "annulé"));
                },
                animated,
            )
        };
        let in_a_terminal = asked(true);
        for part in ["\rEnvoi de la demande...", "\rAnnulation...", "\r[--] Demande annulée\n"] {
            assert!(in_a_terminal.contains(part), "{part}: {in_a_terminal}");
        }
        assert!(asked(false).starts_with("[--] Demande annulée\n"), "{}", asked(false));
    }

    #[test]
    fn in_a_terminal_lines_end_between_words() {
        let sentence = "Insérez votre carte CPS dans le lecteur, vérifiez dans CPS-Gestion que le code affiché est \
                        bien 42, puis saisissez votre code porteur pour confirmer la connexion.";
        let shown = drawn(|screen| screen.login(&login("denied", "42", sentence)), true);
        let lines: Vec<&str> = shown.lines().skip(1).take(3).collect();
        assert!(lines.iter().all(|line| line.starts_with("     ") && line.chars().count() < 80), "{shown}");
        assert_eq!(lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" "), sentence);
        let piped = drawn(|screen| screen.login(&login("denied", "42", sentence)), false);
        assert!(piped.lines().any(|line| line == sentence), "a program gets it whole: {piped}");
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(wrapped("a verylongword b", 6), ["a", "verylongword", "b"]);
    }

    #[test]
    fn the_end_of_a_session_is_a_time_of_day_and_how_long_it_is_until_then() {
        let at = Timestamp::from_secs(1_795_312_800);
        assert_eq!(until(at, 4 * 3600 + 59, Language::French), "02:00 UTC (dans 4 h 00)");
        assert_eq!(until(at, 30 * 60, Language::English), "02:00 UTC (in 30 min)");
    }
}
