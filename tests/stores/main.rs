//! The grant file: what is written and read, by whom it may be, and what is done where it is damaged.

mod file;
mod file_damage;
mod file_planted;
mod file_unix;
