//! A desk of the practice's software, used as a browser without script uses it.

use reqwest::Method;

use super::http::{Answer, Caller};

pub const FORM: &str = "application/x-www-form-urlencoded";

/// The text between two marks.
pub fn between<'a>(html: &'a str, from: &str, to: &str) -> Option<&'a str> {
    Some(html.split_once(from)?.1.split_once(to)?.0)
}

/// One tab.
pub struct Desk {
    pages: Caller,
    /// Where it is.
    pub here: String,
    pub lang: String,
}

impl Desk {
    pub async fn open(pages: &Caller, lang: &str) -> Self {
        let page = pages.get(&format!("/try?lang={lang}")).await.expect(200).body;
        let here = between(&page, "action=\"", "/sign-in").expect("a desk").to_owned();
        Self { pages: pages.clone(), here, lang: lang.to_owned() }
    }

    pub async fn get(&self, more: &str) -> Answer {
        self.pages.get(&format!("{}?lang={}{more}", self.here, self.lang)).await
    }

    /// Sends a form; the page that it leads to.
    pub async fn post(&self, act: &str, form: &str) -> String {
        let path = format!("{}/{act}?lang={}", self.here, self.lang);
        self.pages.send_text(Method::POST, &path, FORM, form).await.expect(200).body
    }

    /// The page once its heading is `heading`; it is asked for as a page with script asks.
    pub async fn shows(&self, heading: &str) -> String {
        let mut page = self.get("").await.expect(200).body;
        for _ in 0..200 {
            if between(&page, "data-heading>", "<") == Some(heading) {
                assert!(!has_token(&page), "{page}");
                return page;
            }
            let seen = between(&page, "data-revision=\"", "\"").expect("a revision").to_owned();
            let answer = self.get(&format!("&seen={seen}")).await;
            if answer.status.as_u16() == 200 {
                page = answer.body;
            }
        }
        panic!("never shown: {heading}: {page}");
    }
}

/// Whether a token or handle is in the text, with more than what says which of the two it is.
pub fn has_token(page: &str) -> bool {
    ["rlt_", "rsh_"].iter().any(|kind| page.split(kind).skip(1).any(|rest| !rest.starts_with('•')))
}

/// The calls of the panel, oldest first: method and path, the login's id left out.
pub fn calls(page: &str) -> Vec<String> {
    let rows = page.split("<span class=\"method code\">").skip(1);
    let mut calls: Vec<String> = rows
        .map(|row| {
            let (method, rest) = row.split_once('<').expect("a method");
            let path = between(rest, "<span class=\"path code\">", "<").expect("a path");
            let path = path.split('/').map(|part| if part.len() == 36 { "{id}" } else { part });
            format!("{method} {}", path.collect::<Vec<_>>().join("/"))
        })
        .collect();
    calls.reverse();
    calls
}
