//! `[store]`: where everything is stored.

use std::path::PathBuf;

use url::Url;

use super::Mode;
use super::reader::Reader;
use super::secrets;
use crate::crypto::ring::KeyRing;
use crate::domain::secret::Secret;

/// Where everything is stored.
#[derive(Clone)]
pub struct StoreSettings {
    /// The database.
    pub url: StoreUrl,
    /// A direct connection for `LISTEN`, where `url` goes through a pooler. PostgreSQL only.
    pub listen_url: Option<Secret>,
}

/// Which database.
#[derive(Clone)]
pub enum StoreUrl {
    /// An embedded SQLite database in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server; the URL may hold a password.
    Postgres(Secret),
}

const SHAPES: &str = "write \"sqlite://FILE\" or \"postgres://USER@HOST/DATABASE\"";

pub(super) fn read(reader: &Reader<'_>, ring: Option<&KeyRing>) -> Option<StoreSettings> {
    let url = if reader.has("url") || reader.has("url_file") {
        let text = read_url(reader, "url", ring)?;
        parse(reader, &text)?
    } else {
        StoreUrl::Sqlite(reader.context.resolve("relais.db"))
    };
    let mut listen_url = None;
    if reader.has("listen_url") || reader.has("listen_url_file") {
        let text = read_url(reader, "listen_url", ring)?;
        if matches!(url, StoreUrl::Sqlite(_)) {
            reader.problem("listen_url", "is of no use with SQLite", "remove it");
        } else if is_postgres(text.expose()) {
            listen_url = Some(text);
        } else {
            reader.problem(
                "listen_url",
                "is not a PostgreSQL URL",
                "write \"postgres://USER@HOST/DATABASE\"",
            );
        }
    }
    Some(StoreSettings { url, listen_url })
}

/// A URL is a secret only where it holds a password.
fn read_url(reader: &Reader<'_>, key: &str, ring: Option<&KeyRing>) -> Option<Secret> {
    let literal = secrets::literal(reader, key);
    match literal {
        Some(text) if reader.context.mode == Mode::Production && holds_password(text) => {
            reader.problem(
                key,
                "holds a password in clear, which is for mode = \"development\" only",
                secrets::how_to_keep(key),
            );
            None
        }
        Some(text) if !reader.has(&format!("{key}_file")) => Some(Secret::new(text)),
        _ => secrets::read(reader, key, ring),
    }
}

fn holds_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("password"))
    })
}

fn is_postgres(text: &str) -> bool {
    (text.starts_with("postgres://") || text.starts_with("postgresql://")) && Url::parse(text).is_ok()
}

fn parse(reader: &Reader<'_>, text: &Secret) -> Option<StoreUrl> {
    if is_postgres(text.expose()) {
        return Some(StoreUrl::Postgres(text.clone()));
    }
    let Some(file) = text.expose().strip_prefix("sqlite://") else {
        reader.problem("url", "is neither a SQLite nor a PostgreSQL URL", SHAPES);
        return None;
    };
    if file.is_empty() || file.starts_with(':') || file.contains('?') {
        reader.problem("url", "names no file", SHAPES);
        return None;
    }
    Some(StoreUrl::Sqlite(reader.context.resolve(file)))
}
