//! Name resolution with the address check in it (R-G-06): what was checked is what is connected to, so an answer
//! that changes between two look-ups gains nothing.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use super::address::AddressPolicy;

/// Why a name led to no address; found again in the error chain by `failure::classify`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveFailure {
    #[error("the name cannot be resolved")]
    Dns(#[source] std::io::Error),
    #[error("the name has no address")]
    Empty,
    #[error("every address of the name is refused by the address policy")]
    Refused,
}

#[derive(Clone)]
pub(super) struct CheckedResolver {
    policy: AddressPolicy,
}

impl CheckedResolver {
    pub(super) fn new(policy: AddressPolicy) -> Self {
        Self { policy }
    }
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let policy = self.policy;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveFailure::Dns)?;
            Ok(checked(found, policy)?.into_iter())
        })
    }
}

/// Keeps the allowed addresses. The connector puts the URL's port in.
pub(super) fn checked(
    found: impl Iterator<Item = SocketAddr>,
    policy: AddressPolicy,
) -> Result<Vec<SocketAddr>, ResolveFailure> {
    let (allowed, refused): (Vec<_>, Vec<_>) = found.partition(|address| policy.allows(address.ip()));
    match (allowed.is_empty(), refused.is_empty()) {
        (true, true) => Err(ResolveFailure::Empty),
        (true, false) => Err(ResolveFailure::Refused),
        (false, _) => Ok(allowed),
    }
}
