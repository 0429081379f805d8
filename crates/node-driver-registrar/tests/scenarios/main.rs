//! Section 11 of the sheet node-driver-registrar: the real binary, real sockets, a scripted driver.

mod endings;
mod kubelet;
mod registrar;
mod serving;
