//! Names of headers that do not go on, as `plain` writes them: in lower case, with a hyphen for whatever is no letter or digit.

/// Of one connection. `proxy-connection` and `http2-settings` are no standard, or no longer.
pub(super) const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Of a request: for Relais, made anew, or what would speak for a front, for a person or for a certificate, or talk round
/// what the target allows (R-F-08): servers behind a front believe these, and some frameworks take method and path from
/// headers.
pub(super) const OF_REQUEST: &[&str] = &[
    "auth-groups",
    "auth-user",
    "authorization",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "content-length",
    "cookie",
    "cookie2",
    "dpop",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "host",
    "iv-creds",
    "iv-groups",
    "iv-user",
    // `HTTP_PROXY` to a CGI program: the way of its own calls.
    "proxy",
    "smuser",
    "traceparent",
    "true-client-ip",
    "x-anonymous-consumer",
    "x-azure-clientip",
    "x-client-dn",
    "x-client-ip",
    "x-client-s-dn",
    "x-client-verify",
    "x-clientcert",
    "x-cluster-client-ip",
    "x-endpoint-api-userinfo",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-jwt-assertion",
    "x-method-override",
    "x-originating-ip",
    "x-real-ip",
    "x-request-id",
    "x-scheme",
    "x-script-name",
    "x-sendfile-type",
    "x-url-scheme",
    "x-userinfo",
    "x-webauth-user",
];

/// Likewise, by how they begin.
pub(super) const OF_FRONTS: &[&str] = &[
    // `$WSRU`, `$WSCC` and others: WebSphere's own.
    "-ws",
    "cf-access-",
    "client-cert",
    "mellon-",
    "oam-",
    "oidc-",
    "osso-",
    "proxy-",
    "remote-",
    "shib-",
    "sm-",
    "ssl-",
    "tailscale-user-",
    "tls-client-",
    "wl-proxy-",
    "x-accel-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-arr-",
    "x-auth-request-",
    "x-authenticated-",
    "x-authentik-",
    "x-client-cert",
    "x-consumer-",
    "x-credential-",
    "x-envoy-",
    "x-forwarded",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-mtls-",
    "x-original-",
    "x-pomerium-",
    "x-remote-",
    "x-rewrite-",
    "x-ssl-",
    "x-tls-client-",
    "x-vouch-",
];

/// Of an answer. `Link` is told anew, as `Location` is; `Refresh` would lead to the target itself.
pub(super) const OF_ANSWER: &[&str] = &["content-length", "link", "refresh", "set-cookie", "set-cookie2"];

/// Likewise, by how they begin: a front before Relais would answer with files and paths of its own, or to others too,
/// whatever `Cache-Control` says.
pub(super) const TO_FRONTS: &[&str] = &[
    "edge-control",
    "surrogate-",
    "x-accel-",
    "x-lighttpd-send-",
    "x-litespeed-",
    "x-reproxy-",
    "x-sendfile",
];

/// Likewise, by how they end: one for each kind of cache (RFC 9213).
pub(super) const TO_CACHES: &str = "-cache-control";

/// Of Relais's own, in both directions, by how they begin.
pub(super) const OF_RELAIS: &str = "relais-";
