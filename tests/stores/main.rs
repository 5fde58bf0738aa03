//! Stores: the grant file, sealed records and the platform's keyring; what is written and read, by whom it may
//! be, what is done where it is damaged; and the conformance test for stores, which all of them pass.

mod conformance;
mod file;
mod file_damage;
mod file_lease;
mod file_planted;
mod file_unix;
mod flawed;
mod keyring;
mod leases;

mod sealed;
