//! The login engine: one use case per file, over the ports that it declares.
