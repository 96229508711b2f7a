//! User-facing texts in French and English.
