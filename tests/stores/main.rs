//! The grant file: what is written and read, by whom it may be, and what is done where it is damaged;
//! and the conformance test for leases.

mod file;
mod file_damage;
mod file_planted;
mod file_unix;
mod leases;
