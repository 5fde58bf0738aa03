//! The authorization server's part: what is issued, what is refused, and what is kept.

#[path = "issue/access.rs"]
mod access;
#[path = "issue/bad_input.rs"]
mod bad_input;
#[path = "issue/families.rs"]
mod families;
#[path = "issue/faults.rs"]
mod faults;
#[path = "issue/http.rs"]
mod http;
#[path = "issue/jwt.rs"]
mod jwt;
#[path = "issue/notices.rs"]
mod notices;
#[path = "issue/refresh.rs"]
mod refresh;
#[path = "issue/support.rs"]
mod support;
