//! What is answered: pure functions of a request.

mod convert;
mod media;
mod review;

pub(crate) use review::{Answer, answer};
