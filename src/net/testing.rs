//! Certificates and sockets for the tests of this module.
