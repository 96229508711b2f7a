//! How far the provider's clock is from ours, by the `Date` of its answers (RFC 9110 §6.6.1).
//!
//! ID tokens are judged with half a minute of leeway for what has ended and a minute for what has not begun: what is
//! within the first hurts nobody, what is beyond the second makes tokens invalid.

use std::time::Duration;

use http::header::DATE;

use crate::domain::examination::{Fault, Outcome, Proof};
use crate::domain::time::Timestamp;
use crate::net::outbound::{OutboundError, OutboundResponse};

use super::super::call::{Call, Channel};
use super::super::retry_after::http_date;

const WARNING: Duration = Duration::from_secs(30);
const FAILURE: Duration = Duration::from_secs(60);
/// What a date in whole seconds leaves out.
const SECOND: Duration = Duration::from_secs(1);

/// The least difference that any answer has shown: one from a cache is older than it looks.
#[derive(Default)]
pub(super) struct Skew {
    has_answer: bool,
    least: Option<Apart>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Apart {
    by: Duration,
    ours_is_ahead: bool,
}

impl Skew {
    /// Sends a call, and compares the clocks by its answer.
    pub(super) async fn timed(
        &mut self,
        channel: &Channel<'_>,
        call: Call,
    ) -> Result<OutboundResponse, OutboundError> {
        let before = channel.upstream.clock().now();
        let answer = channel.send(call).await?;
        let after = channel.upstream.clock().now();
        self.has_answer = true;
        let date = answer.headers.get(DATE).and_then(|text| http_date(text.to_str().ok()?));
        if let Some(date) = date {
            let apart = apart(date, before, after);
            self.least = Some(self.least.filter(|least| least.by <= apart.by).unwrap_or(apart));
        }
        Ok(answer)
    }

    /// What is to be said of it; `None` where nobody has answered.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        if !self.has_answer {
            return None;
        }
        let Some(Apart { by, ours_is_ahead }) = self.least else {
            return Some(Outcome::Warning(Fault::NoDate));
        };
        let seconds = by.as_secs();
        let fault = Fault::ClocksDiffer { seconds, ours_is_ahead };
        Some(match by {
            by if by >= FAILURE => Outcome::Failed(fault),
            by if by >= WARNING => Outcome::Warning(fault),
            _ => Outcome::Well(Proof::Seconds(seconds)),
        })
    }
}

/// How far apart the clocks are at least: the date was made between `before` and `after`, and says whole seconds.
fn apart(date: Timestamp, before: Timestamp, after: Timestamp) -> Apart {
    let theirs_ahead = date.since(after);
    if theirs_ahead.is_zero() {
        Apart { by: before.since(date + SECOND), ours_is_ahead: true }
    } else {
        Apart { by: theirs_ahead, ours_is_ahead: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(date: i64) -> Outcome {
        let at = Timestamp::from_secs;
        let skew = Skew { has_answer: true, least: Some(apart(at(date), at(1000), at(1002))) };
        skew.outcome().expect("an answer")
    }

    #[test]
    fn what_the_call_took_and_whole_seconds_hide_is_no_difference() {
        for date in [999, 1000, 1001, 1002] {
            assert_eq!(outcome(date), Outcome::Well(Proof::Seconds(0)), "{date}");
        }
    }

    #[test]
    fn half_a_minute_is_a_warning_and_a_minute_a_failure_on_either_side() {
        let differ = |seconds, ours_is_ahead| Fault::ClocksDiffer { seconds, ours_is_ahead };
        assert_eq!(outcome(1031), Outcome::Well(Proof::Seconds(29)));
        assert_eq!(outcome(1032), Outcome::Warning(differ(30, false)));
        assert_eq!(outcome(1062), Outcome::Failed(differ(60, false)));
        assert_eq!(outcome(970), Outcome::Well(Proof::Seconds(29)));
        assert_eq!(outcome(969), Outcome::Warning(differ(30, true)));
        assert_eq!(outcome(939), Outcome::Failed(differ(60, true)));
    }

    #[test]
    fn without_a_date_the_clocks_cannot_be_compared() {
        assert_eq!(Skew::default().outcome(), None);
        let silent = Skew { has_answer: true, least: None };
        assert_eq!(silent.outcome(), Some(Outcome::Warning(Fault::NoDate)));
    }
}
