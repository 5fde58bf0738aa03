//! Errors as people are told them.

use std::error::Error;

use perennial::token::Secret;

use crate::arguments::Arguments;

/// The error and all that lies underneath, each part once.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

/// What no text may show: the crate's errors hold no secret, and those of HTTP clients may quote a
/// URL.
#[derive(Default)]
pub(crate) struct Hidden(Vec<Secret>);

impl Hidden {
    /// The secrets among the arguments, and what a URL of theirs holds beside host and path.
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let secrets = [
            arguments.client_secret.clone(),
            arguments.refresh_token.clone(),
            arguments.access_token.clone(),
            arguments.store.clone(),
        ];
        let store = arguments.store.as_ref().map_or("", Secret::expose);
        let urls = [&arguments.api_url, &arguments.token_endpoint, store];
        let queries = urls.map(|url| url.split_once('?').map(|(_, query)| Secret::new(query)));
        let users = urls.map(|url| {
            let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
            authority.rsplit_once('@').map(|(user, _)| Secret::new(user))
        });
        let all = secrets.into_iter().chain(queries).chain(users).flatten();
        Self(all.filter(|secret| !secret.expose().is_empty()).collect())
    }

    /// The text without them.
    pub(crate) fn without(&self, text: &str) -> String {
        let hide = |text: String, secret: &Secret| text.replace(secret.expose(), "[hidden]");
        self.0.iter().fold(text.to_owned(), hide)
    }
}
