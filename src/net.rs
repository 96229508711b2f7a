//! The network edge: the accept loop with its limits and certificates, and the outbound client builder.
