//! The path of a call to a target: what it may look like, and which patterns let it through.
//!
//! A path is judged as it will be sent, and only where every server reads it the same way: what one server decodes,
//! normalises or strips and another one does not is refused (R-G-06). What has passed goes on byte for byte.

use std::ops::RangeInclusive;

use thiserror::Error;

/// A path below a target's base that means the same to every server: empty, or from a slash on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetPath {
    raw: String,
    /// Decoded once. A final slash is an empty last segment.
    segments: Vec<String>,
}

/// Why a path is not forwarded, whatever the target allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PathRefused {
    /// It does not begin with a slash.
    #[error("a path begins with a slash")]
    NoSlash,
    /// A byte that has no place in a path (RFC 3986 §3.3): a backslash, a control character, one beyond ASCII.
    #[error("a character has no place in a path")]
    Character,
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the percent-encoding is broken")]
    Encoding,
    /// A slash, backslash, dot, percent sign, semicolon or control character in disguise, what looks like one of them, or
    /// what is not there for everybody.
    #[error("an encoded character could change what the path means")]
    Disguised,
    /// Two slashes that follow each other.
    #[error("a segment is empty")]
    EmptySegment,
    /// A segment `.` or `..`, also with parameters behind it.
    #[error("a segment leads elsewhere")]
    DotSegment,
}

/// What some servers fold into a dot, a slash, a backslash, a percent sign or a semicolon, alone or among others (NFKC;
/// best fit, where the yen and the won sign are backslashes and the Arabic percent sign is a percent sign).
const LOOK_ALIKES: [RangeInclusive<char>; 28] = [
    '\u{a5}'..='\u{a5}',
    '\u{37e}'..='\u{37e}',
    '\u{66a}'..='\u{66a}',
    '\u{2024}'..='\u{2026}',
    '\u{2044}'..='\u{2044}',
    '\u{20a9}'..='\u{20a9}',
    '\u{2100}'..='\u{2101}',
    '\u{2105}'..='\u{2106}',
    '\u{2215}'..='\u{2216}',
    '\u{2488}'..='\u{249b}',
    '\u{29f5}'..='\u{29f5}',
    '\u{29f8}'..='\u{29f8}',
    '\u{33c2}'..='\u{33c2}',
    '\u{33c7}'..='\u{33c7}',
    '\u{33d8}'..='\u{33d8}',
    '\u{fe14}'..='\u{fe14}',
    '\u{fe19}'..='\u{fe19}',
    '\u{fe30}'..='\u{fe30}',
    '\u{fe52}'..='\u{fe52}',
    '\u{fe54}'..='\u{fe54}',
    '\u{fe68}'..='\u{fe68}',
    '\u{fe6a}'..='\u{fe6a}',
    '\u{ff05}'..='\u{ff05}',
    '\u{ff0e}'..='\u{ff0f}',
    '\u{ff1b}'..='\u{ff1b}',
    '\u{ff3c}'..='\u{ff3c}',
    '\u{ffe5}'..='\u{ffe6}',
    '\u{1f100}'..='\u{1f100}',
];

/// What some servers leave out before they compare (NFKC_Casefold, file systems): Default_Ignorable_Code_Point.
const IGNORABLE: [RangeInclusive<char>; 17] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

impl TargetPath {
    /// Judges what stands behind the name of the target, still encoded and without the query.
    pub fn parse(raw: &str) -> Result<Self, PathRefused> {
        if raw.is_empty() {
            return Ok(Self { raw: String::new(), segments: Vec::new() });
        }
        let rest = raw.strip_prefix('/').ok_or(PathRefused::NoSlash)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let last = parts.len() - 1;
        let mut segments = Vec::with_capacity(parts.len());
        for (place, part) in parts.into_iter().enumerate() {
            let segment = decode(part)?;
            // Servers of the Servlet family cut off what stands behind a semicolon before they look at dots.
            let bare = segment.split(';').next().unwrap_or_default();
            if bare.is_empty() && !(segment.is_empty() && place == last) {
                return Err(PathRefused::EmptySegment);
            }
            // Windows strips blanks at the end of a name.
            let bare = bare.trim_matches(char::is_whitespace);
            if bare == "." || bare == ".." {
                return Err(PathRefused::DotSegment);
            }
            segments.push(segment);
        }
        Ok(Self { raw: raw.to_owned(), segments })
    }

    /// As it came, and as it goes on.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }
}

/// One segment, decoded once.
fn decode(part: &str) -> Result<String, PathRefused> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let (Some(high), Some(low)) = (high, low) else { return Err(PathRefused::Encoding) };
                let decoded = u8::try_from(high * 16 + low).map_err(|_| PathRefused::Encoding)?;
                if matches!(decoded, b'/' | b'\\' | b'.' | b'%' | b';') || decoded.is_ascii_control() {
                    return Err(PathRefused::Disguised);
                }
                bytes.push(decoded);
            }
            // RFC 3986 §3.3: pchar.
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => bytes.push(byte),
            _ if b"-._~!$&'()*+,;=:@".contains(&byte) => bytes.push(byte),
            _ => return Err(PathRefused::Character),
        }
    }
    let segment = String::from_utf8(bytes).map_err(|_| PathRefused::Encoding)?;
    let is_among = |table: &[RangeInclusive<char>], c| table.iter().any(|range| range.contains(&c));
    if segment.chars().any(|c| c.is_control() || is_among(&LOOK_ALIKES, c) || is_among(&IGNORABLE, c)) {
        return Err(PathRefused::Disguised);
    }
    Ok(segment)
}

/// A pattern of paths: `/a/b` is itself, `*` stands for one segment that is not empty, and `**`, at the end, for what is
/// left, be it nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern(Vec<Part>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    One,
    Rest,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PathPatternError {
    /// No path could be it.
    #[error("no path looks like that: {0}")]
    Path(#[from] PathRefused),
    /// A star beside other characters of its segment, or `**` before the end.
    #[error("a star stands alone in its segment, and two stars stand at the end")]
    Star,
}

impl PathPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        if text.is_empty() {
            return Err(PathRefused::NoSlash.into());
        }
        let path = TargetPath::parse(text)?;
        let last = path.segments.len() - 1;
        let part = |(place, segment): (usize, String)| match segment.as_str() {
            "*" => Ok(Part::One),
            "**" if place == last => Ok(Part::Rest),
            _ if segment.contains('*') => Err(PathPatternError::Star),
            _ => Ok(Part::Literal(segment)),
        };
        path.segments.into_iter().enumerate().map(part).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it lets this path through. The base itself counts as `/`.
    #[must_use]
    pub fn matches(&self, path: &TargetPath) -> bool {
        const BASE: &[String] = &[String::new()];
        let mut segments = if path.segments.is_empty() { BASE } else { &path.segments }.iter();
        for part in &self.0 {
            let is_met = match part {
                Part::Rest => return true,
                Part::One => segments.next().is_some_and(|segment| !segment.is_empty()),
                Part::Literal(text) => segments.next() == Some(text),
            };
            if !is_met {
                return false;
            }
        }
        segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use icu_normalizer::ComposingNormalizerBorrowed;
    use icu_properties::CodePointSetData;
    use icu_properties::props::DefaultIgnorableCodePoint;
    use url::form_urlencoded::byte_serialize;

    use super::*;

    #[test]
    fn r_g_06_what_servers_read_differently_is_no_path() {
        use PathRefused::{Character, Disguised, DotSegment, EmptySegment, Encoding, NoSlash};
        let zoo = [
            ("Patient", NoSlash),
            ("@evil.example/", NoSlash),
            (":8443/x", NoSlash),
            ("//evil.example/x", EmptySegment),
            ("///x", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/;/b", EmptySegment),
            ("/a/;x=1", EmptySegment),
            ("/https://evil.example/", EmptySegment),
            ("/..", DotSegment),
            ("/../x", DotSegment),
            ("/a/../../x", DotSegment),
            ("/a/.", DotSegment),
            ("/./a", DotSegment),
            ("/a/..;/x", DotSegment),
            ("/a/..;x=1/x", DotSegment),
            ("/a/.;/x", DotSegment),
            ("/%2e%2e/x", Disguised),
            ("/.%2e/x", Disguised),
            ("/%2E./x", Disguised),
            ("/a%2fb", Disguised),
            ("/a%2Fb", Disguised),
            ("/a%5cb", Disguised),
            ("/%252e%252e/x", Disguised),
            ("/a%252fb", Disguised),
            ("/a%25", Disguised),
            ("/a%00", Disguised),
            ("/a%0d%0aX:1", Disguised),
            ("/a%09b", Disguised),
            ("/a%7f", Disguised),
            ("/..%20/x", DotSegment),
            ("/%20.%20;x/y", DotSegment),
            ("/%ef%b9%92%ef%b9%92/x", Disguised),
            ("/a%ef%b9%a8b", Disguised),
            ("/a%ef%bc%85b", Disguised),
            ("/a%d9%aab", Disguised),
            ("/..%ef%bc%9bx/y", Disguised),
            ("/a%e2%84%80b", Disguised),
            ("/..%3b/x", Disguised),
            ("/Patient/%ef%b8%b0/x", Disguised),
            ("/Patient/%ef%b8%99/x", Disguised),
            ("/Patient/..%ef%b8%94x/y", Disguised),
            ("/a%c2%a5..%c2%a5x", Disguised),
            ("/a%e2%82%a9x", Disguised),
            ("/a%e2%92%88", Disguised),
            ("/..%e2%80%8b/x", Disguised),
            ("/%c2%ad../x", Disguised),
            ("/.%ef%bb%bf./x", Disguised),
            ("/..%e2%81%a0/x", Disguised),
            ("/..%cd%8f/x", Disguised),
            ("/..%d8%9c/x", Disguised),
            ("/..%e1%85%9f/x", Disguised),
            ("/..%e3%85%a4/x", Disguised),
            ("/..%ef%be%a0/x", Disguised),
            ("/..%ef%b8%8f/x", Disguised),
            ("/..%f3%a0%81%bf/x", Disguised),
            ("/Pat%e2%80%8dient", Disguised),
            ("/%c2%85", Disguised),
            ("/%ef%bc%8e%ef%bc%8e/x", Disguised),
            ("/a%ef%bc%8fb", Disguised),
            ("/a%e2%88%95b", Disguised),
            ("/%c0%ae%c0%ae/x", Encoding),
            ("/a%c0%afb", Encoding),
            ("/a%e0%80%afb", Encoding),
            ("/a%ff", Encoding),
            ("/a%", Encoding),
            ("/a%2", Encoding),
            ("/a%zz", Encoding),
            ("/a%u002e", Encoding),
            ("/a\\b", Character),
            ("/..\\x", Character),
            ("/a b", Character),
            ("/a\tb", Character),
            ("/a\0b", Character),
            ("/a\r\nb", Character),
            ("/a#b", Character),
            ("/a?b", Character),
            ("/a[b]", Character),
            ("/a|b", Character),
            ("/é", Character),
            ("/\u{ff0e}\u{ff0e}/x", Character),
        ];
        for (raw, why) in zoo {
            assert_eq!(TargetPath::parse(raw), Err(why), "{raw:?}");
        }
    }

    /// All of Unicode, as one segment between two that are plain, against the tables of others.
    #[test]
    fn r_g_06_no_character_becomes_one_that_is_refused_by_what_servers_fold_or_leave_out() {
        let nfkc = ComposingNormalizerBorrowed::new_nfkc();
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        let is_refused = |c: char| {
            let encoded: String = byte_serialize(c.encode_utf8(&mut [0; 4]).as_bytes()).collect();
            TargetPath::parse(&format!("/a/..{encoded}/b")) == Err(PathRefused::Disguised)
        };
        let (mut folded, mut left_out) = (0, 0);
        for c in ('\u{80}'..=char::MAX).filter(|c| !c.is_control()) {
            let into = nfkc.normalize(c.encode_utf8(&mut [0; 4])).into_owned();
            if into.contains(['.', '/', '\\', '%', ';']) {
                folded += 1;
                assert!(is_refused(c), "U+{:04X} is {into}", u32::from(c));
            }
            if ignorable.contains(c) {
                left_out += 1;
                assert!(is_refused(c), "U+{:04X} may be left out", u32::from(c));
            }
        }
        assert!(folded > 40 && left_out > 4000, "{folded} {left_out}");
    }

    #[test]
    fn what_every_server_reads_the_same_way_goes_on_byte_for_byte() {
        for raw in [
            "",
            "/",
            "/Patient",
            "/Patient/",
            "/Patient/123/_history/1",
            "/Patient/$everything",
            "/a/...",
            "/a/.well-known/b..c",
            "/a;v=1/b;w=2",
            "/caf%C3%A9%20au%20lait",
            "/n%C2%B0%20%E2%82%AC%E2%80%99%C5%93",
            "/127.0.0.1",
            "/user@evil.example:443",
            "/a%3Fb%23c",
        ] {
            let path = TargetPath::parse(raw).unwrap_or_else(|error| panic!("{raw}: {error}"));
            assert_eq!(path.as_str(), raw);
        }
    }

    #[test]
    fn patterns_let_through_what_they_say_and_nothing_else() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("/**", &["", "/", "/a", "/a/", "/a/b/c"], &[]),
            ("/", &["", "/"], &["/a"]),
            (
                "/Patient",
                &["/Patient", "/%50atient"],
                &["", "/", "/Patient/", "/patient", "/Patient/1", "/Patient;x"],
            ),
            ("/Patient/", &["/Patient/"], &["/Patient", "/Patient/1"]),
            (
                "/Patient/*",
                &["/Patient/1", "/Patient/a%20b"],
                &["/Patient", "/Patient/", "/Patient/1/", "/Patient/1/2"],
            ),
            (
                "/Patient/**",
                &["/Patient", "/Patient/", "/Patient/1", "/Patient/1/2/"],
                &["/Patients", "/a/Patient"],
            ),
            ("/*/read", &["/a/read"], &["/read", "/a/b/read", "/a/read/"]),
            ("/caf%C3%A9", &["/caf%c3%a9"], &["/cafe"]),
        ];
        for (pattern, through, held) in table {
            let read = PathPattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            let matches =
                |raw: &&&str| read.matches(&TargetPath::parse(raw).unwrap_or_else(|e| panic!("{raw}: {e}")));
            assert!(through.iter().all(|raw| matches(&raw)), "{pattern} lets {through:?} through");
            assert!(!held.iter().any(|raw| matches(&raw)), "{pattern} holds {held:?}");
        }
    }

    #[test]
    fn a_pattern_that_no_path_could_meet_is_refused() {
        use PathPatternError::{Path, Star};
        let refused = [
            ("", Path(PathRefused::NoSlash)),
            ("Patient/**", Path(PathRefused::NoSlash)),
            ("/../x", Path(PathRefused::DotSegment)),
            ("/a//b", Path(PathRefused::EmptySegment)),
            ("/a%2fb", Path(PathRefused::Disguised)),
            ("/a b", Path(PathRefused::Character)),
            ("/**/a", Star),
            ("/a*", Star),
            ("/***", Star),
        ];
        for (text, why) in refused {
            assert_eq!(PathPattern::parse(text), Err(why), "{text}");
        }
    }
}
