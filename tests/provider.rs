//! What providers are declared to do, and what a session makes of it.

use std::time::Duration;

use perennial::lifecycle::{Policy, Reuse};
use perennial::provider;

const NONE: Duration = Duration::ZERO;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// Rule B6.
#[test]
fn each_provider_does_what_its_documentation_says() {
    for (name, declared, documented) in [
        ("Google", provider::GOOGLE, Reuse::Unrotated),
        ("Entra ID", provider::ENTRA_ID, Reuse::Unrotated),
        ("a GitHub App", provider::GITHUB_APP, Reuse::Strict),
        ("Keycloak", provider::KEYCLOAK, Reuse::Unrotated),
        ("Okta", provider::OKTA, Reuse::overlap_successors(seconds(30))),
        ("Okta, 5 s", provider::okta(seconds(5)), Reuse::overlap_successors(seconds(5))),
        ("Okta, no grace", provider::okta(NONE), Reuse::Strict),
        ("Supabase", provider::SUPABASE, Reuse::idempotent(seconds(10))),
        ("Doorkeeper", provider::DOORKEEPER, Reuse::ConfirmByUse),
        ("Auth0, no overlap", provider::auth0(NONE), Reuse::Strict),
        ("Auth0, 15 s", provider::auth0(seconds(15)), Reuse::overlap_successors(seconds(15))),
        ("Cognito, no grace", provider::cognito(NONE), Reuse::Strict),
        ("Cognito, 60 s", provider::cognito(seconds(60)), Reuse::overlap_successors(seconds(60))),
        (
            "Cognito, too much",
            provider::cognito(seconds(600)),
            Reuse::overlap_successors(seconds(60)),
        ),
        ("Hydra, no grace", provider::hydra(NONE), Reuse::Strict),
        ("Hydra, 60 s", provider::hydra(seconds(60)), Reuse::overlap_successors(seconds(60))),
        ("less than a clock tells", provider::hydra(Duration::from_nanos(1)), Reuse::Strict),
    ] {
        assert_eq!(declared, documented, "{name}");
        let policy = Policy::builder().reuse(declared).build().expect(name);
        assert_eq!(policy.reuse(), documented, "{name}");
    }
}
