//! A grant for each user: `cargo run --example many_users`.

use std::time::Duration;

use perennial::keyed::Sessions;
use perennial::refresh::{RefreshError, Request};
use perennial::token::Grant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = Sessions::builder(|user: &String, _request: Request| {
        let renewed = format!("{user}'s second token"); // ask the server, with `_request`
        async move { Ok::<_, RefreshError>(Grant::new(renewed, "rt-2", Duration::from_secs(3600))) }
    })
    .build();
    for user in ["ada", "grace"] {
        let login = Grant::new(format!("{user}'s first token"), "rt-1", Duration::from_secs(3600));
        sessions.install_blocking(&user.to_owned(), login)?;
    }
    let ada = "ada".to_owned();
    let token = sessions.token_blocking(&ada)?; // or `sessions.token(&ada).await?`
    sessions.reject(&ada, &token); // it got a 401
    println!("{}", sessions.token_blocking(&ada)?.expose());
    println!("{}", sessions.token_blocking(&"grace".to_owned())?.expose());
    Ok(())
}
