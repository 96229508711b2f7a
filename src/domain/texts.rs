//! User-facing texts, in French and English.
//!
//! Every sentence is for a practitioner in front of a workstation, never for a developer: what happens, what to
//! do now, whom to ask. No name and no identifier ever stands in one; the only value in them is the code that
//! both screens show. Typographic apostrophes and no-break spaces are limited to what Windows-1252 knows, since
//! old workstations convert these texts.

mod hints;
mod problems;
mod sentences;
mod titles;

pub use hints::Hint;
pub use problems::{PROBLEM_CODES, problem_message};
pub use titles::{login_title, problem_title};

/// The languages that a person may be spoken to in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Language {
    /// The default.
    #[default]
    French,
    /// For whoever asks for it.
    English,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::French, Self::English];

    /// The language tag (RFC 5646), as `Accept-Language` and `Content-Language` carry it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::French => "fr",
            Self::English => "en",
        }
    }

    /// The best of our languages for an `Accept-Language` header (RFC 9110 §12.5.4).
    ///
    /// French where the header is absent, unreadable or names neither language; between equal weights the first
    /// one named wins.
    #[must_use]
    pub fn from_accept_language(header: Option<&str>) -> Self {
        let mut best = (0_u16, Self::default());
        for range in header.unwrap_or_default().split(',') {
            let mut parts = range.split(';');
            let Some(language) = parts.next().and_then(|tag| Self::of_tag(tag.trim())) else { continue };
            let weight = parts.find_map(weight).unwrap_or(1000);
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The language of a POSIX locale such as `en_GB.UTF-8`: English for `en…`, French for anything else.
    #[must_use]
    pub fn from_locale(locale: Option<&str>) -> Self {
        locale
            .and_then(|locale| locale.split(['.', '@']).next())
            .and_then(|tag| Self::of_tag(&tag.replace('_', "-")))
            .unwrap_or_default()
    }

    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next()?;
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }
}

/// A `q=` parameter in thousandths; `None` where it is another parameter, 0 where it is not readable.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let digits = format!("{whole}{fraction:0<3}");
    Some(if fraction.len() <= 3 { digits.parse().ok().filter(|q| *q <= 1000).unwrap_or(0) } else { 0 })
}

/// One text in both languages.
#[derive(Clone, Copy)]
struct Text {
    french: &'static str,
    english: &'static str,
}

impl Text {
    const fn new(french: &'static str, english: &'static str) -> Self {
        Self { french, english }
    }

    const fn get(self, language: Language) -> &'static str {
        match language {
            Language::French => self.french,
            Language::English => self.english,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_language_follows_the_weights_and_falls_back_to_french() {
        for (header, expected) in [
            (None, Language::French),
            (Some(""), Language::French),
            (Some("de"), Language::French),
            (Some("*"), Language::French),
            (Some("en"), Language::English),
            (Some("EN-gb"), Language::English),
            (Some("en;q=0"), Language::French),
            (Some("fr;q=0.5, en;q=0.8"), Language::English),
            (Some("fr-CA, en;q=0.9"), Language::French),
            (Some("en, fr"), Language::English),
            (Some("de, en;q=0.1"), Language::English),
            (Some("en;q=bad, fr;q=0.001"), Language::French),
            (Some("english"), Language::French),
            (Some("en ; q=1.000"), Language::English),
            (Some("en;q=2"), Language::French),
        ] {
            assert_eq!(Language::from_accept_language(header), expected, "{header:?}");
        }
    }

    #[test]
    fn a_locale_is_english_only_where_it_says_so() {
        for (locale, expected) in [
            (None, Language::French),
            (Some("C.UTF-8"), Language::French),
            (Some("fr_FR.UTF-8"), Language::French),
            (Some("en_GB.UTF-8"), Language::English),
            (Some("en"), Language::English),
            (Some("en@euro"), Language::English),
        ] {
            assert_eq!(Language::from_locale(locale), expected, "{locale:?}");
        }
    }
}
