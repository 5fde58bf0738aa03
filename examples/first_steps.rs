//! The common use, with a closure in place of an authorization server.
use perennial::{refresh::RefreshError, refresh::Request, session::Session, token::Grant};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn refresh(request: Request) -> Result<Grant, RefreshError> {
    println!("asked for a new token: {:?}", request.cause());
    Ok(Grant::new("at-2", "rt-2", HOUR))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let session = Session::builder(refresh).grant(Grant::new("at-1", "rt-1", HOUR)).build()?;
    let token = session.token_blocking()?; // in a task: `session.token().await?`
    println!("first: {}", token.expose());
    session.reject(&token); // a resource server answered 401
    println!("then: {}", session.token_blocking()?.expose());
    Ok(())
}
