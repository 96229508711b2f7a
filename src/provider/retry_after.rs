//! `Retry-After` (RFC 9110 §10.2.3): seconds or a date.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::domain::time::Timestamp;

/// No provider puts a login off for longer.
const CEILING: Duration = Duration::from_hours(1);

/// How long the answer asks to wait. `None` where it does not say, says garbage, or names the past.
pub fn of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are still a wish to wait long.
        text.parse().map_or(CEILING, Duration::from_secs)
    } else {
        http_date(text)?.since(now)
    };
    (!wait.is_zero()).then(|| wait.min(CEILING))
}

/// A date as HTTP writes it.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let date = |format| NaiveDateTime::parse_from_str(text, format).ok();
    // IMF-fixdate, then the two obsolete forms that a recipient must also read (RFC 9110 §5.6.7).
    let naive = date("%a, %d %b %Y %H:%M:%S GMT")
        .or_else(|| date("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|| date("%a %b %e %H:%M:%S %Y"))?;
    Some(Timestamp::from(DateTime::<Utc>::from_naive_utc_and_offset(naive, Utc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_312_800); // Sun, 22 Nov 2026 02:00:00 GMT

    fn wait(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().expect("a header value"));
        of(&headers, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn rp_048_seconds_and_every_form_of_date_are_understood() {
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 22 Nov 2026 02:00:09 GMT"), Some(9));
        assert_eq!(wait("Sunday, 22-Nov-26 02:00:10 GMT"), Some(10));
        assert_eq!(wait("Sun Nov 22 02:00:11 2026"), Some(11));
    }

    #[test]
    fn rp_048_the_past_and_garbage_are_ignored_and_an_hour_is_the_most() {
        for text in
            ["0", "", "soon", "-3", "1.5", "Sun, 22 Nov 2026 01:59:00 GMT", "Sun, 99 Nov 2026 01:59:00 GMT"]
        {
            assert_eq!(wait(text), None, "{text}");
        }
        assert_eq!(wait("86400"), Some(3600));
        assert_eq!(wait("99999999999999999999999"), Some(3600));
        assert_eq!(of(&HeaderMap::new(), NOW), None);
    }
}
