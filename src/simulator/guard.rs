//! Who may call what stands on the control listener.
//!
//! Nothing there has authentication: it holds no real person. Pages of other sites are kept out always: by their
//! `Origin`, and, where another name has been made to lead here (DNS rebinding), by the `Host`. Other machines are
//! kept out of what steers ([`this_machine`]) where the caller wants that.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::control::refused;
use crate::net::listener::Peer;

/// Refuses what a page of another site makes a browser send.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    if !hosts.chain(authority).all(is_nobodys_name) {
        let description = "call this by localhost or by its address, not by a name";
        return refused(StatusCode::MISDIRECTED_REQUEST, "foreign_host", description);
    }
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => false,
        (Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, authority)| authority != host),
        (Some(_), None) => true,
    };
    if foreign {
        return refused(StatusCode::FORBIDDEN, "foreign_origin", "this page belongs to another site");
    }
    next.run(request).await
}

/// Whether a host with its port is `localhost` or an address: what no DNS server has a say in.
fn is_nobodys_name(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Refuses whoever calls from another machine.
pub(super) async fn this_machine(request: Request, next: Next) -> Response {
    if is_local(request.extensions().get()) {
        return next.run(request).await;
    }
    let description =
        "only the phone page is open to other machines: call this from where the simulator runs";
    refused(StatusCode::FORBIDDEN, "other_machine", description)
}

/// Whether a call comes over loopback, as the socket says. An unknown caller does not.
pub(super) fn is_local(peer: Option<&Peer>) -> bool {
    peer.is_some_and(|peer| peer.address.ip().to_canonical().is_loopback())
}
