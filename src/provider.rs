//! Implements the engine's `Providers` port: an OpenID Provider with CIBA, seen from its client.
