//! The server's behaviour over real sockets.

mod arrival;
mod drain;
mod handshake;
mod http;
mod silence;
mod watchdog;
