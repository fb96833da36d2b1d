//! Behaviour over real sockets. This file is the table of contents.
