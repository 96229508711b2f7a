//! The page of one desk: the scene it is in, the phone beside it, its calls below.

use askama::Template;

use super::desk::{Desk, Login, Scene, SignedIn, State, is_under_way};
use super::protocol::{Call, Fate};
use super::words::{Ending, Words};
use super::{PATH, Practice, TestPerson};
use crate::client::{ClientError, Problem};
use crate::domain::clock::Monotonic;
use crate::domain::login::LoginStatus;
use crate::domain::session::SessionEndReason;
use crate::domain::subject::Exercice;
use crate::domain::texts::{Language, login_title, problem_message};
use crate::domain::time::Timestamp;

#[derive(Template)]
#[template(path = "practice/try.html")]
struct Page<'a> {
    words: &'static Words,
    nonce: &'a str,
    /// Where this desk is, and on which host.
    here: String,
    host: &'a str,
    phone: &'static str,
    revision: u64,
    title: String,
    /// What the scene is called.
    heading: &'static str,
    /// What somebody hears who does not see the page.
    heard: String,
    notice: Option<String>,
    banner: Option<Banner>,
    scene: Shown<'a>,
    calls: Vec<CallShown<'a>>,
    /// Seconds after which a page without script loads itself again, where something is going on.
    reload_after: Option<u64>,
}

/// What the software's window holds.
enum Shown<'a> {
    Form(SignInBox<'a>),
    Starting,
    UnderWay(UnderWay<'a>),
    SignedIn(Box<Session<'a>>),
}

struct SignInBox<'a> {
    people: Vec<(&'a TestPerson, bool)>,
    typed: &'a str,
    card: bool,
}

/// How something ended, above the sign-in box.
struct Banner {
    ending: Ending,
    text: String,
    text_lang: &'static str,
    support_code: Option<String>,
    retry: Option<Retry>,
}

/// Another login stands in the way.
struct Retry {
    key: String,
    left: u64,
    replaceable: bool,
    login_hint: String,
    channel: &'static str,
}

struct UnderWay<'a> {
    heading: &'static str,
    digits: &'a str,
    text: &'a str,
    text_lang: &'static str,
    channel: &'static str,
    confirmed: bool,
    key: String,
    left: u64,
    life: u64,
    cancelling: bool,
    support_code: &'a str,
}

impl UnderWay<'_> {
    /// Whether the code of both screens is too long to be shown at the size of two digits.
    fn is_long(&self) -> bool {
        self.digits.len() > 4
    }
}

struct Session<'a> {
    name: &'a str,
    identifier: &'a str,
    profession: &'a str,
    ends: Timestamp,
    idle_ends: Timestamp,
    support_code: &'a str,
    complete: bool,
    exercices: Vec<Choice<'a>>,
}

struct Choice<'a> {
    id: &'a str,
    what: String,
    place: String,
    /// A code, where there is one.
    speciality: Option<&'a str>,
    chosen: bool,
}

struct CallShown<'a> {
    call: &'a Call,
    /// A word for the style sheet.
    class: &'static str,
    status: String,
    took: Option<String>,
    answer: Option<&'a str>,
}

/// The page of `desk` in `language`, as it is called on `host`; none where it cannot be written.
pub(super) fn of(
    practice: &Practice,
    desk: &Desk,
    language: Language,
    host: &str,
    nonce: &str,
) -> Option<String> {
    let words = Words::of(language);
    let now = practice.inner.clock.monotonic();
    desk.look(|state, revision| {
        let banner = banner(state, words, language, now);
        let scene = match &state.scene {
            Scene::Starting => Shown::Starting,
            Scene::Login(login) if is_under_way(&login.now) => {
                Shown::UnderWay(under_way(login, words, language, now))
            }
            Scene::SignedIn(signed_in) => Shown::SignedIn(Box::new(session(signed_in, words))),
            _ => Shown::Form(sign_in_box(practice, state)),
        };
        let heading = match &scene {
            Shown::Form(_) => words.title,
            Shown::Starting => login_title(LoginStatus::Starting, None, language),
            Shown::UnderWay(login) => login.heading,
            Shown::SignedIn(_) => login_title(LoginStatus::PickedUp, None, language),
        };
        let heard = match (&banner, &scene) {
            (Some(banner), _) => format!("{}. {}", banner.ending.title, banner.text),
            (None, Shown::Form(_)) => String::new(),
            (None, Shown::Starting) => heading.to_owned(),
            (None, Shown::UnderWay(login)) => login.text.to_owned(),
            (None, Shown::SignedIn(session)) => format!("{heading}. {}", session.name),
        };
        let title = match (&banner, &scene) {
            (Some(banner), _) => format!("{} – {}", banner.ending.title, words.title),
            (None, Shown::Form(_)) => words.title.to_owned(),
            (None, _) => format!("{heading} – {}", words.title),
        };
        let notice = state.notice.as_ref().map(|error| match error {
            ClientError::Problem(problem) if !problem.user_message.is_empty() => problem.user_message.clone(),
            _ => words.failed.to_owned(),
        });
        let page = Page {
            words,
            nonce,
            here: format!("{PATH}/{}", desk.id),
            host,
            phone: practice.inner.phone,
            revision,
            title,
            heading,
            heard,
            notice,
            reload_after: match scene {
                Shown::Starting => Some(1),
                Shown::UnderWay(_) => Some(3),
                Shown::Form(_) | Shown::SignedIn(_) => None,
            },
            banner,
            scene,
            calls: state.calls.newest_first().map(|call| call_shown(call, words)).collect(),
        };
        page.render().ok()
    })
}

fn sign_in_box<'a>(practice: &'a Practice, state: &'a State) -> SignInBox<'a> {
    let asked = &state.asked;
    let people = practice.inner.people.iter();
    SignInBox {
        people: people
            .map(|person| (person, !asked.typed && person.login_hint == asked.login_hint))
            .collect(),
        typed: if asked.typed { &asked.login_hint } else { "" },
        card: asked.channel == "CARD",
    }
}

fn banner(state: &State, words: &Words, language: Language, now: Monotonic) -> Option<Banner> {
    let own =
        |(ending, text)| Banner { ending, text, text_lang: language.tag(), support_code: None, retry: None };
    match &state.scene {
        Scene::SignedOut { just_now: false } | Scene::Starting | Scene::SignedIn(_) => None,
        Scene::SignedOut { just_now: true } => Some(own(words.signed_out())),
        Scene::Unreachable => Some(own(words.unreachable())),
        Scene::SessionOver(reason) => {
            let text = problem_message("session_ended", reason.map(SessionEndReason::as_str), language);
            Some(own((words.session_over(), text)))
        }
        Scene::Login(login) if is_under_way(&login.now) => None,
        Scene::Login(login) => {
            let (text, said_in) = login.said(language);
            Some(Banner {
                ending: Ending::of_login(&login.now, language),
                text: text.to_owned(),
                text_lang: said_in.tag(),
                support_code: Some(login.now.support_code.clone()),
                retry: None,
            })
        }
        Scene::Refused(problem) => Some(Banner {
            ending: Ending::of_problem(problem, language),
            text: said_about(problem, state.language, language),
            text_lang: language.tag(),
            support_code: problem.support_code.clone(),
            retry: retry(state, problem, now),
        }),
    }
}

/// What Relais said, or would have said: a refused call has left nothing behind that could be asked again.
fn said_about(problem: &Problem, said_in: Language, language: Language) -> String {
    if said_in == language && !problem.user_message.is_empty() {
        return problem.user_message.clone();
    }
    problem_message(&problem.code, problem.reason.as_deref(), language)
}

fn retry(state: &State, problem: &Problem, now: Monotonic) -> Option<Retry> {
    let after = problem.expires_in.or_else(|| problem.retry_after.map(|after| after.as_secs()))?;
    let waited = now.since(state.since).as_secs();
    Some(Retry {
        key: problem.request_id.clone().unwrap_or_default(),
        left: after.saturating_sub(waited),
        replaceable: problem.replaceable == Some(true),
        login_hint: state.asked.login_hint.clone(),
        channel: state.asked.channel,
    })
}

fn under_way<'a>(login: &'a Login, words: &Words, language: Language, now: Monotonic) -> UnderWay<'a> {
    let confirmed = !login.now.is_open();
    let (text, said_in) = login.said(language);
    let left = login.ends.since(now).as_millis().div_ceil(1000);
    UnderWay {
        heading: login_title(
            if confirmed { LoginStatus::Approved } else { LoginStatus::Pending },
            None,
            language,
        ),
        digits: &login.now.binding_message,
        text,
        text_lang: said_in.tag(),
        channel: words.means(login.now.channel.as_deref().unwrap_or_default()),
        confirmed,
        key: format!("{}-{}", login.now.login_id, login.now.version),
        left: u64::try_from(left).unwrap_or(u64::MAX),
        life: login.life,
        cancelling: login.cancelling,
        support_code: &login.now.support_code,
    }
}

fn session<'a>(signed_in: &'a SignedIn, words: &Words) -> Session<'a> {
    let session = &signed_in.session;
    let subject = &session.subject;
    let chosen = session.exercice.as_deref();
    let profession = subject.exercices.first().map(label);
    Session {
        name: subject.name.as_deref().unwrap_or(&subject.sub),
        identifier: subject.national_id.as_deref().unwrap_or(&subject.sub),
        profession: profession.unwrap_or(words.no_profession),
        ends: session.expires_at,
        idle_ends: session.idle_expires_at,
        support_code: &session.support_code,
        complete: subject.complete,
        exercices: subject.exercices.iter().map(|exercice| choice(exercice, chosen)).collect(),
    }
}

fn label(exercice: &Exercice) -> &str {
    exercice.profession.label.as_deref().unwrap_or(&exercice.profession.code)
}

fn choice<'a>(exercice: &'a Exercice, chosen: Option<&str>) -> Choice<'a> {
    let mode = exercice.mode.as_ref().and_then(|mode| mode.label.as_deref());
    let place = exercice.site.as_ref().map(|site| [site.name.as_deref(), site.postal_code.as_deref()]);
    Choice {
        id: &exercice.id,
        what: joined([Some(label(exercice)), mode]),
        place: joined(place.unwrap_or_default()),
        speciality: exercice.savoir_faire.as_ref().map(|code| code.label.as_deref().unwrap_or(&code.code)),
        chosen: chosen == Some(exercice.id.as_str()),
    }
}

fn joined(parts: [Option<&str>; 2]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn call_shown<'a>(call: &'a Call, words: &Words) -> CallShown<'a> {
    let took = call.end.as_ref().map(|end| match end.took.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", end.took.as_secs_f64()),
    });
    let (class, status, answer) = match call.end.as_ref().map(|end| &end.fate) {
        None => ("open", words.waits.to_owned(), None),
        Some(Fate::Lost) => ("denied", words.call_lost.to_owned(), None),
        Some(Fate::GivenUp) => ("expired", words.call_given_up.to_owned(), None),
        Some(Fate::Answered { status, reason, body }) => {
            let class = if *status < 400 { "approved" } else { "denied" };
            (class, format!("{status} {reason}"), body.as_deref())
        }
    };
    CallShown { call, class, status, took, answer }
}
