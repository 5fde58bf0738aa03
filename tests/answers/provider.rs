//! What providers are declared to do, and what a session makes of it.

use std::time::Duration;

use perennial::lifecycle::{Policy, Reuse};
use perennial::provider::{self, Code, Meaning, Provider};

const NONE: Duration = Duration::ZERO;

const CONSTANTS: [Provider; 16] = [
    provider::DINGTALK,
    provider::DOORKEEPER,
    provider::ENTRA_ID,
    provider::FIREBASE,
    provider::GITHUB_APP,
    provider::GOOGLE,
    provider::HUBSPOT,
    provider::INTUIT,
    provider::KEYCLOAK,
    provider::LARK,
    provider::LINKEDIN,
    provider::META,
    provider::OKTA,
    provider::SLACK,
    provider::SUPABASE,
    provider::ZOHO,
];

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
        ("Slack", provider::SLACK, Reuse::Strict),
        ("Lark", provider::LARK, Reuse::Strict),
        ("Django, no grace", provider::django_oauth_toolkit(NONE), Reuse::Strict),
        (
            "Django, 2 min",
            provider::django_oauth_toolkit(seconds(120)),
            Reuse::idempotent(seconds(120)),
        ),
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
        assert_eq!(declared.reuse(), documented, "{name}");
        let policy = Policy::builder().reuse(declared.reuse()).build().expect(name);
        assert_eq!(policy.reuse(), documented, "{name}");
    }
}

// Rule B6.
#[test]
fn each_code_names_its_source_and_no_code_of_a_provider_is_there_twice() {
    for provider in CONSTANTS {
        let codes = provider.codes();
        for (at, code) in codes.iter().enumerate() {
            assert!(!code.text().is_empty() && code.source().len() > 5, "{code:?}");
            let twice = codes[..at].iter().any(|it| it.text().eq_ignore_ascii_case(code.text()));
            assert!(!twice, "{}: {code:?}", provider.name());
            if let Meaning::Misconfigured(setting) = code.meaning() {
                assert!(setting.starts_with("the "), "goes on from `check`: {code:?}");
            }
        }
    }
}

// Rule B6.
#[test]
fn a_provider_of_ones_own_is_written_down_as_a_constant() {
    const OURS: Provider = Provider::new("ours", Reuse::Unrotated)
        .with_reuse(Reuse::Strict)
        .with_codes(&[Code::passing("asleep", "our handbook, page 7")])
        .with_dialect(provider::LARK.dialect());
    assert_eq!((OURS.name(), OURS.reuse()), ("ours", Reuse::Strict));
    assert_eq!(OURS.codes()[0].meaning(), Meaning::Passing);
    assert_eq!(OURS.dialect().envelopes(), ["data"]);
}
