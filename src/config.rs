//! Reads configuration into domain values and each module's plain settings.
