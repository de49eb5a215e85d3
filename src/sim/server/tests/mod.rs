//! The server over real sockets.

mod client;
mod echo;
mod faults;
mod gone;
mod openai;
mod other_apis;
