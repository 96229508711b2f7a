//! Where a `Location`, `Content-Location` or `Link` leads (RFC 9110 §10.2.2, §8.7; RFC 8288): below the target's base, or
//! elsewhere.

use http::{HeaderMap, HeaderName, header};
use url::{Position, Url};

use crate::domain::target::TargetPath;
use crate::engine::ports::Link;

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

/// How many links of an answer are read: each is told with the whole path that leads through Relais.
const MOST_LINKS: usize = 32;

/// The links of an answer to a call of `sent` that lead below the base, in their order; what stands behind the first
/// [`MOST_LINKS`] is left out. From where one cannot be read the rest of its header is left out; so is a link that holds,
/// within quotes or not, what others could read as one more.
pub(super) fn links(base: &Url, sent: &Url, headers: &HeaderMap) -> Vec<Link> {
    let (mut links, mut read) = (Vec::new(), 0usize);
    for value in headers.get_all(header::LINK) {
        let mut rest = value.to_str().unwrap_or_default();
        while read < MOST_LINKS
            && let Some((reference, behind)) = next_link(rest)
        {
            read += 1;
            let (parameters, others) = behind.split_at(end_of_parameters(behind));
            let below = sent.join(reference).ok().and_then(|url| below(base, &url));
            if let Some(below) = below.filter(|_| !parameters.contains('<')) {
                links.push(Link { below, parameters: parameters.trim().to_owned() });
            }
            rest = others;
        }
    }
    links
}

/// What stands between the next pair of angle brackets, and all behind it.
fn next_link(text: &str) -> Option<(&str, &str)> {
    let is_between = |c: char| c == ',' || c.is_ascii_whitespace();
    text.trim_start_matches(is_between).strip_prefix('<')?.split_once('>')
}

/// Where the comma is that ends a link: one outside quotes.
fn end_of_parameters(text: &str) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let ends = |(_, c): &(usize, char)| {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => return true,
            _ => {}
        }
        false
    };
    text.char_indices().find(ends).map_or(text.len(), |(place, _)| place)
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

    fn linked(values: &[&str]) -> Vec<String> {
        let base = Url::parse("https://dmp.example.fr/fhir/").expect("a URL");
        let sent = Url::parse("https://dmp.example.fr/fhir/Patient?page=1").expect("a URL");
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::LINK, HeaderValue::from_str(value).expect("a value"));
        }
        let links = links(&base, &sent, &headers).into_iter();
        links.map(|link| format!("{} | {}", link.below, link.parameters)).collect()
    }

    #[test]
    fn r_h_09_of_many_links_the_first_are_told() {
        let many = (0..40).map(|number| format!("<{number}>")).collect::<Vec<_>>().join(",");
        let told = linked(&[&many, "<last>"]);
        assert_eq!(told.len(), MOST_LINKS);
        assert_eq!(told.last().map(String::as_str), Some("/31 | "));
        // Those that are not told count as well: each has to be read.
        let elsewhere = "<https://evil.example/>,".repeat(MOST_LINKS) + "<here>";
        assert!(linked(&[&elsewhere]).is_empty());
    }

    #[test]
    fn r_g_07_links_below_the_base_are_told_from_there_and_no_others() {
        for (value, told) in [
            (
                "<https://dmp.example.fr/fhir/Patient?page=2>; rel=\"next\"",
                &["/Patient?page=2 | ; rel=\"next\""][..],
            ),
            (
                "<?page=2>; rel=next, <?page=9>;rel=last",
                &["/Patient?page=2 | ; rel=next", "/Patient?page=9 | ;rel=last"],
            ),
            (
                "<?a=b,c>; title=\"x, \\\", y\"; rel=next,<2>",
                &["/Patient?a=b,c | ; title=\"x, \\\", y\"; rel=next", "/2 | "],
            ),
            ("<a>; title=\"x, <https://evil.example/>; y\"; rel=next, <b>", &["/b | "]),
            ("<https://evil.example/fhir/x>; rel=next, </fhir/y>; rel=prev", &["/y | ; rel=prev"]),
            ("<https://dmp.example.fr:8443/fhir/x>; rel=next", &[]),
            ("<http://dmp.example.fr/fhir/x>; rel=next", &[]),
            ("<//evil.example/fhir/x>", &[]),
            ("</admin>; rel=next", &[]),
            ("</fhir/%2e%2e/admin>; rel=next", &[]),
            ("<javascript:alert(1)>; rel=next", &[]),
            (", ,<a> , <b>", &["/a | ", "/b | "]),
            ("<a>; rel=next, nonsense, <b>", &["/a | ; rel=next"]),
            ("<a>; title=\"open, <https://evil.example/>; rel=next", &[]),
            ("<a", &[]),
            ("https://dmp.example.fr/fhir/x", &[]),
            ("", &[]),
        ] {
            assert_eq!(linked(&[value]), told, "{value}");
        }
        assert_eq!(linked(&["nonsense", "<a>; rel=x"]), ["/a | ; rel=x"]);
        assert_eq!(linked(&[]), [""; 0]);
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
