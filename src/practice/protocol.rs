//! The calls of a desk to Relais, as its panel shows them: the newest few, shortened.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::client::{CallEnd, SentRequest};
use crate::domain::clock::Monotonic;
use crate::domain::time::Timestamp;

const MOST_CALLS: usize = 40;
/// Characters of one text, members of one list, characters of one body.
const LONGEST_TEXT: usize = 240;
const LONGEST_LIST: usize = 2;
const LONGEST_BODY: usize = 3000;

/// One call.
pub(super) struct Call {
    pub number: u64,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub at: Timestamp,
    sent: Monotonic,
    pub end: Option<End>,
}

/// How it ended.
pub(super) struct End {
    pub took: Duration,
    pub fate: Fate,
}

pub(super) enum Fate {
    Answered { status: u16, reason: &'static str, body: Option<String> },
    Lost,
    GivenUp,
}

/// The calls that are remembered, oldest first.
#[derive(Default)]
pub(super) struct Calls {
    next: u64,
    list: VecDeque<Call>,
}

impl Calls {
    pub(super) fn sent(&mut self, request: SentRequest, at: Timestamp, now: Monotonic) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.list.len() >= MOST_CALLS {
            self.list.pop_front();
        }
        self.list.push_back(Call {
            number,
            method: request.method.to_string(),
            path: request.path,
            headers: request.headers,
            body: request.body.map(|body| shown(&body)),
            at,
            sent: now,
            end: None,
        });
        number
    }

    pub(super) fn ended(&mut self, number: u64, end: CallEnd, now: Monotonic) {
        let Some(call) = self.list.iter_mut().find(|call| call.number == number) else { return };
        let fate = match end {
            CallEnd::Answered { status, body } => Fate::Answered {
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or_default(),
                body: body.map(|body| shown(&body)),
            },
            CallEnd::Lost => Fate::Lost,
            CallEnd::GivenUp => Fate::GivenUp,
        };
        call.end = Some(End { took: now.since(call.sent), fate });
    }

    /// Newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Call> {
        self.list.iter().rev()
    }
}

/// JSON as a developer reads it, its long parts cut.
fn shown(body: &Value) -> String {
    let text = serde_json::to_string_pretty(&shortened(body)).unwrap_or_default();
    cut(&text, LONGEST_BODY)
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text, LONGEST_TEXT)),
        Value::Array(list) => {
            let mut few: Vec<Value> = list.iter().take(LONGEST_LIST).map(shortened).collect();
            if let Some(more) = list.len().checked_sub(LONGEST_LIST).filter(|more| *more > 0) {
                few.push(Value::String(format!("… +{more}")));
            }
            Value::Array(few)
        }
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), shortened(value))).collect())
        }
        other => other.clone(),
    }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::json;

    use super::*;

    fn sent(calls: &mut Calls, path: &str) -> u64 {
        let request =
            SentRequest { method: Method::GET, path: path.to_owned(), headers: Vec::new(), body: None };
        calls.sent(request, Timestamp::from_secs(0), Monotonic::default())
    }

    #[test]
    fn only_the_newest_calls_are_remembered_and_an_end_finds_its_own() {
        let mut calls = Calls::default();
        for number in 0..50 {
            sent(&mut calls, &format!("/{number}"));
        }
        let end = || CallEnd::Answered { status: StatusCode::OK, body: None };
        calls.ended(3, end(), Monotonic::default());
        calls.ended(48, end(), Monotonic(Duration::from_millis(7)));
        let paths: Vec<&str> = calls.newest_first().map(|call| call.path.as_str()).collect();
        assert_eq!((paths.len(), paths[0], paths[39]), (40, "/49", "/10"));
        let ended: Vec<_> = calls.newest_first().filter(|call| call.end.is_some()).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].path, "/48");
        assert_eq!(ended[0].end.as_ref().map(|end| end.took), Some(Duration::from_millis(7)));
    }

    #[test]
    fn long_parts_are_cut_and_say_so() {
        let body =
            json!({ "text": "é".repeat(300), "list": [1, 2, 3, 4, 5], "deep": { "list": [[1, 2], [3]] } });
        let expected = json!({
            "text": format!("{}…", "é".repeat(240)), "list": [1, 2, "… +3"], "deep": { "list": [[1, 2], [3]] },
        });
        assert_eq!(shortened(&body), expected);
        let members: serde_json::Map<_, _> =
            (0..300).map(|n| (format!("member{n}"), json!("text"))).collect();
        assert_eq!(shown(&Value::Object(members)).chars().count(), LONGEST_BODY + 1);
    }
}
