//! `[listeners.…]`: where Relais listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Mode;
use super::certificates;
use super::reader::Reader;

/// Memory and file descriptors of a small machine.
const CONNECTIONS: u32 = 8192;

/// As many long polls as connections: a parked one costs little, and holds no connection to the database.
const REQUESTS: u32 = 8192;

/// The listener of the client API.
#[derive(Clone, Debug)]
pub struct ClientsListener {
    /// Where to listen.
    pub bind: SocketAddr,
    /// What clients call it, without a final slash: base of links, `aud` of assertions, byte for byte.
    pub public_url: String,
    /// Server certificates (chain and key); the one that suits the client is shown. Empty: plain http on
    /// loopback, development only.
    pub tls: Vec<(PathBuf, PathBuf)>,
    /// Roots of client certificates, for applications with `tls_client_auth`.
    pub client_ca: Option<PathBuf>,
    /// Open connections; one more is closed at once.
    pub max_connections: u32,
    /// Requests at once, parked ones among them; one more is refused as `overloaded`.
    pub max_requests: u32,
}

/// The listener that providers call.
#[derive(Clone, Debug)]
pub struct ProvidersListener {
    /// Where to listen.
    pub bind: SocketAddr,
    /// What providers call it, without a final slash: base of the addresses that are registered with them.
    pub public_url: String,
    /// Server certificates (chain and key). Empty: plain http on loopback, development only.
    pub tls: Vec<(PathBuf, PathBuf)>,
}

/// The listener of health and metrics.
#[derive(Clone, Copy, Debug)]
pub struct OpsListener {
    /// Where to listen.
    pub bind: SocketAddr,
}

pub(super) fn read_clients(reader: &Reader<'_>) -> Option<ClientsListener> {
    let bind = reader.bind("bind", "0.0.0.0:8443");
    let public_url = read_public_url(reader, "write the URL at which clients reach this listener");
    let tls = read_tls(reader, bind, public_url.as_deref());
    let client_ca = reader.file("client_ca");
    if let Some(file) = &client_ca {
        certificates::check_roots(reader, "client_ca", file);
    }
    let max_connections = reader.positive("max_connections", CONNECTIONS);
    let max_requests = reader.positive("max_requests", REQUESTS);
    Some(ClientsListener {
        bind: bind?,
        public_url: public_url?,
        tls,
        client_ca,
        max_connections,
        max_requests,
    })
}

/// `None` where there is no such section: nothing listens then.
pub(super) fn read_providers(listeners: &Reader<'_>) -> Option<ProvidersListener> {
    if !listeners.has("providers") {
        return None;
    }
    let reader = &listeners.section("providers");
    let bind = reader.bind("bind", "0.0.0.0:8444");
    let public_url = read_public_url(reader, "write the URL at which providers reach this listener");
    let tls = read_tls(reader, bind, public_url.as_deref());
    Some(ProvidersListener { bind: bind?, public_url: public_url?, tls })
}

fn read_tls(
    reader: &Reader<'_>,
    bind: Option<SocketAddr>,
    public_url: Option<&str>,
) -> Vec<(PathBuf, PathBuf)> {
    let tls = reader.pairs("tls");
    certificates::check_pairs(reader, "tls", &tls);
    if !reader.has("tls") || reader.is_empty_list("tls") {
        let loopback = bind.is_none_or(|bind| bind.ip().is_loopback());
        if reader.context.mode == Mode::Production || !loopback {
            reader.problem(
                "tls",
                "is missing; without TLS this listener is for loopback in mode = \"development\" only",
                "write tls = [{ cert = \"FILE\", key = \"FILE\" }]",
            );
        } else if public_url.is_some_and(|url| url.starts_with("https:")) {
            reader.warn("public_url", "is https while the listener has no TLS", "correct one of the two");
        }
    } else if public_url.is_some_and(|url| url.starts_with("http:")) {
        reader.problem("public_url", "is http while the listener has TLS", "write https");
    }
    tls
}

fn read_public_url(reader: &Reader<'_>, fix: &str) -> Option<String> {
    let text = reader.required("public_url", fix)?;
    reader.url("public_url", text)?;
    if text.ends_with('/') {
        reader.problem("public_url", "ends with a slash", "remove the final slash");
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn read_ops(reader: &Reader<'_>) -> Option<OpsListener> {
    let bind = reader.bind("bind", "127.0.0.1:8081")?;
    if !bind.ip().is_loopback() {
        reader.warn(
            "bind",
            "is not loopback: whoever reaches it reads health and metrics",
            "filter the port",
        );
    }
    Some(OpsListener { bind })
}
