//! One source file, read for the rules of the house: as tokens, so that comments and texts count for nothing and
//! the bodies of functions and macros count like the rest.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What the rules ask of a file.
#[derive(Debug, Default)]
pub struct Source {
    /// Its path below `src`.
    pub name: String,
    /// The paths that it names from the crate's root, `crate` not included. `*` for everything, empty for the
    /// bare root.
    pub references: Vec<Vec<String>>,
    /// Every identifier.
    pub words: BTreeSet<String>,
    /// `A::b` outside `cfg(test)`, as pairs.
    pub calls: BTreeSet<(String, String)>,
    /// The modules in files of their own that it declares under `cfg(test)`, from the root.
    pub test_modules: Vec<Vec<String>>,
    /// It exists only under `cfg(test)`.
    pub only_tests: bool,
    /// It begins with `//!`.
    pub has_head: bool,
    /// Lines before `#[cfg(test)] mod … {`.
    pub lines: usize,
}

impl Source {
    /// Reads `text`, which stands in `src/<name>`.
    #[expect(clippy::panic, reason = "a file that is no Rust fails the test")]
    pub fn parse(name: &str, text: &str) -> Self {
        let mut source = Self {
            name: name.to_owned(),
            has_head: text.starts_with("//!"),
            lines: lines_before_tests(text),
            ..Self::default()
        };
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let module = source.module_path();
        source.read(tokens, &module, false);
        source
    }

    /// Where the file stands in the tree of modules.
    pub fn module_path(&self) -> Vec<String> {
        let name = self.name.trim_end_matches(".rs");
        if name == "lib" { Vec::new() } else { name.split('/').map(str::to_owned).collect() }
    }

    /// The folder, or the file directly below `src`.
    pub fn top_module(&self) -> &str {
        self.name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn read(&mut self, tokens: TokenStream, module: &[String], in_tests: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    let after = &tokens[at + 1..];
                    match word.as_str() {
                        "crate" => self.read_path(after, &[]),
                        "relais" if self.name == "main.rs" => self.read_path(after, &[]),
                        "super" if !follows_super(&tokens[..at]) => self.read_super(&tokens[at..], module),
                        "mod" => {
                            if let Some((name, body)) = module_declaration(after) {
                                let inner = [module, &[name]].concat();
                                let tested = in_tests || follows_cfg_test(&tokens[..at]);
                                match body {
                                    Some(body) => {
                                        self.read(body, &inner, tested);
                                        at += 2;
                                    }
                                    None if tested => self.test_modules.push(inner),
                                    None => {}
                                }
                            }
                        }
                        _ => {}
                    }
                    if let ([colon, other, TokenTree::Ident(next), ..], false) = (after, in_tests)
                        && is_path_separator(colon, other)
                    {
                        self.calls.insert((word.clone(), next.to_string()));
                    }
                    self.words.insert(word);
                }
                TokenTree::Group(group) => self.read(group.stream(), module, in_tests),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    /// Takes up every path that begins with `before` and goes on in `tokens` (from a `::` on, if there is one).
    fn read_path(&mut self, tokens: &[TokenTree], before: &[String]) {
        let [colon, other, next, after @ ..] = tokens else {
            return self.read_end(tokens, before);
        };
        if !is_path_separator(colon, other) {
            return self.read_end(tokens, before);
        }
        match next {
            TokenTree::Ident(word) => self.read_path(after, &[before, &[word.to_string()]].concat()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in inner.split(|token| is_punct(token, ',')) {
                    match branch {
                        [TokenTree::Ident(word), after @ ..] if word == "self" => {
                            self.read_end(after, before);
                        }
                        [TokenTree::Ident(word), after @ ..] => {
                            self.read_path(after, &[before, &[word.to_string()]].concat());
                        }
                        [star, ..] if is_punct(star, '*') => {
                            self.read_end(&[], &[before, &["*".into()]].concat());
                        }
                        _ => {}
                    }
                }
            }
            star if is_punct(star, '*') => self.read_end(&[], &[before, &["*".into()]].concat()),
            _ => self.read_end(&[], before),
        }
    }

    /// A path is complete. The bare root counts only where a name is given to it: `pub(crate)` is no reference.
    fn read_end(&mut self, after: &[TokenTree], path: &[String]) {
        let renamed = matches!(after.first(), Some(TokenTree::Ident(word)) if word == "as");
        if !path.is_empty() || renamed {
            self.references.push(path.to_vec());
        }
    }

    /// `super::super::x` is a reference from the root like any other.
    fn read_super(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut rest = tokens;
        let mut depth = module.len();
        while let [TokenTree::Ident(word), colon, other, after @ ..] = rest
            && word == "super"
            && is_path_separator(colon, other)
        {
            depth = depth.saturating_sub(1);
            rest = after;
        }
        if depth == 0 {
            // As if `crate::` stood there: step back onto the separator.
            self.read_path(&tokens[tokens.len() - rest.len() - 2..], &[]);
        }
    }
}

/// The name of a module, and its body where it has one here.
fn module_declaration(after: &[TokenTree]) -> Option<(String, Option<TokenStream>)> {
    match after {
        [TokenTree::Ident(name), TokenTree::Group(body), ..] => Some((name.to_string(), Some(body.stream()))),
        [TokenTree::Ident(name), end, ..] if is_punct(end, ';') => Some((name.to_string(), None)),
        _ => None,
    }
}

/// Whether an attribute `#[cfg(test)]` stands before the item whose keyword comes next.
fn follows_cfg_test(before: &[TokenTree]) -> bool {
    let item = before.iter().rposition(|token| {
        is_punct(token, ';')
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    });
    before[item.map_or(0, |at| at + 1)..].iter().any(|token| {
        matches!(token, TokenTree::Group(group)
            if group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)")
    })
}

fn follows_super(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(word), colon, other] if word == "super" && is_path_separator(colon, other))
}

fn is_path_separator(colon: &TokenTree, other: &TokenTree) -> bool {
    is_punct(colon, ':') && is_punct(other, ':')
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// The tests of a file stand at its end.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'))
        .unwrap_or(lines.len())
}
