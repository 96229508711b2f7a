//! The provider's endpoints, below the issuer's path, the one where its tokens are exchanged for a target, and that target.

mod backchannel;
pub(super) mod form;
mod introspection;
mod logout;
mod metadata;
mod refresh;
mod revocation;
mod target;
mod token;
pub(super) mod token_exchange;
mod userinfo;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get, on, post};

use super::Simulator;
use super::exchange::{Process, Reply, serve};
use super::faults::Endpoint;

/// The router over the personality's paths.
pub(super) fn router(simulator: &Simulator) -> Router {
    let inner = &simulator.inner;
    let paths = &inner.traits.paths;
    let at = |path: &str| format!("{}{path}", inner.path);
    let mut router = Router::new()
        .route(&at(paths.jwks), get(endpoint(Endpoint::Jwks, metadata::jwks)))
        .route(&at(paths.backchannel), post(endpoint(Endpoint::Backchannel, backchannel::answer)))
        .route(&at(paths.token), post(endpoint(Endpoint::Token, token::answer)))
        .route(&at(paths.introspection), post(endpoint(Endpoint::Introspection, introspection::answer)))
        .route(&at(paths.revocation), post(endpoint(Endpoint::Revocation, revocation::answer)))
        .route(&at(paths.logout), read_or_posted(endpoint(Endpoint::Logout, logout::answer)))
        .route(&at(token_exchange::PATH), post(endpoint(Endpoint::Exchange, token_exchange::answer)))
        .route(&at(paths.userinfo), read_or_posted(endpoint(Endpoint::Userinfo, userinfo::answer)));
    for path in [target::PATH.to_owned(), format!("{}/", target::PATH), format!("{}/{{*path}}", target::PATH)]
    {
        router = router.route(&path, any(target::answer));
    }
    for document in inner.traits.metadata_documents {
        let path = at(&format!("/.well-known/{document}"));
        router = router.route(&path, get(endpoint(Endpoint::Metadata, metadata::document)));
    }
    router
        .method_not_allowed_fallback(|| async { plain_error(StatusCode::METHOD_NOT_ALLOWED) })
        .fallback(|| async { plain_error(StatusCode::NOT_FOUND) })
        .with_state(simulator.clone())
}

/// OIDC Core §5.3.1, RP-Initiated Logout §2: GET and POST are answered alike.
fn read_or_posted<H, T>(handler: H) -> MethodRouter<Simulator>
where
    H: axum::handler::Handler<T, Simulator>,
    T: 'static,
{
    use axum::routing::MethodFilter;
    on(MethodFilter::GET.or(MethodFilter::POST), handler)
}

fn endpoint(
    name: Endpoint,
    process: Process,
) -> impl Fn(State<Simulator>, Request) -> std::pin::Pin<Box<dyn Future<Output = Response> + Send>>
+ Clone
+ Send
+ Sync
+ 'static {
    move |State(simulator), request| Box::pin(serve(simulator, name, process, request))
}

fn plain_error(status: StatusCode) -> Response {
    let reply = Reply::http_error(status, "");
    let body = axum::body::Body::from(reply.body.clone());
    reply.with_body(body).into_response()
}
