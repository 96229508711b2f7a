//! Where a `Location` or `Content-Location` leads (RFC 9110 §10.2.2, §8.7): below the target's base, or elsewhere.

use http::{HeaderMap, HeaderName};
use url::{Position, Url};

use crate::domain::target::TargetPath;

/// Where an answer leads.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Lead {
    /// Nowhere: there is no such header.
    Nowhere,
    /// Below the base: path, query and fragment.
    Below(String),
    /// To another place, or to one that no caller may come back with.
    Elsewhere,
}

/// Judges the header of this name in an answer to a call of `sent`.
pub(super) fn of(base: &Url, sent: &Url, headers: &HeaderMap, name: &HeaderName) -> Lead {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(name) { Lead::Elsewhere } else { Lead::Nowhere };
    };
    let url = value.to_str().ok().and_then(|text| sent.join(text).ok());
    url.and_then(|url| below(base, &url)).map_or(Lead::Elsewhere, Lead::Below)
}

fn below(base: &Url, url: &Url) -> Option<String> {
    let is_same_origin = url.scheme() == base.scheme()
        && url.host() == base.host()
        && url.port_or_known_default() == base.port_or_known_default();
    if !is_same_origin || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let path = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
    TargetPath::parse(path).ok()?;
    Some(format!("{path}{}", &url[Position::AfterPath..]))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn lead(locations: &[&str]) -> Lead {
        let base = Url::parse("https://dmp.example.fr/fhir/").expect("a URL");
        let sent = Url::parse("https://dmp.example.fr/fhir/Patient/1").expect("a URL");
        let mut headers = HeaderMap::new();
        for location in locations {
            headers.append(header::LOCATION, HeaderValue::from_str(location).expect("a value"));
        }
        of(&base, &sent, &headers, &header::LOCATION)
    }

    #[test]
    fn what_is_below_the_base_is_told_from_there() {
        for (location, rest) in [
            ("https://dmp.example.fr/fhir/Patient/2/_history/1", "/Patient/2/_history/1"),
            ("https://DMP.example.fr:443/fhir/Patient/2", "/Patient/2"),
            ("/fhir/Patient?name=x&page=2#here", "/Patient?name=x&page=2#here"),
            ("2", "/Patient/2"),
            ("../Observation", "/Observation"),
            ("?page=2", "/Patient/1?page=2"),
            ("//dmp.example.fr/fhir/x", "/x"),
            ("/fhir", ""),
            ("/fhir/", "/"),
            ("", "/Patient/1"),
        ] {
            assert_eq!(lead(&[location]), Lead::Below(rest.to_owned()), "{location}");
        }
        assert_eq!(lead(&[]), Lead::Nowhere);
    }

    #[test]
    fn r_g_07_everything_else_is_elsewhere() {
        for location in [
            "https://evil.example/fhir/x",
            "//evil.example/fhir/x",
            "\\\\evil.example/fhir/x",
            "http://dmp.example.fr/fhir/x",
            "https://dmp.example.fr:8443/fhir/x",
            "https://dmp.example.fr@evil.example/fhir/x",
            "https://user@dmp.example.fr/fhir/x",
            "https://:pass@dmp.example.fr/fhir/x",
            "https://dmp.example.fr.evil.example/fhir/x",
            "https://dmp.example.fr./fhir/x",
            "/admin",
            "/fhirx",
            "/fhir/../admin",
            "/fhir/%2e%2e/admin",
            "/fhir/a//b",
            "/fhir/a%2fb",
            "/fhir/;/x",
            "http://169.254.169.254/latest/meta-data",
            "javascript:alert(1)",
            "https://",
        ] {
            assert_eq!(lead(&[location]), Lead::Elsewhere, "{location}");
        }
        assert_eq!(lead(&["/fhir/a", "/fhir/b"]), Lead::Elsewhere, "two of them");
    }
}
