//! The simulated provider: behaves like PSC, shares no wire type with the provider client.
