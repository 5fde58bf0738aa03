//! Reading the command line: by its words, without a process.

use std::time::Duration;

use clap::error::ErrorKind;
use perennial::lifecycle::Reuse;

use crate::arguments::{Arguments, Authentication, Declared};
use crate::words::Hidden;

/// What must be given, but for the refresh token.
const REQUIRED: [&str; 4] =
    ["silent_client", "--token-endpoint=http://a/token", "--api-url=http://a/", "--client-id=c"];

fn read_with(more: &[&str], input: &str) -> Result<Arguments, clap::Error> {
    let arguments = REQUIRED.iter().chain(more).map(Into::into);
    Arguments::read(arguments, &mut input.as_bytes())
}

fn read(more: &[&str]) -> Result<Arguments, clap::Error> {
    read_with(&[&["--refresh-token=rt-1"], more].concat(), "")
}

#[track_caller]
fn wrong(more: &[&str]) -> String {
    let error = read(more).expect_err("it is wrong");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn each_policy_has_its_name_and_the_former_names_still_go() {
    let window = Duration::from_secs(30);
    for (name, policy, reuse) in [
        ("strict", Declared::Strict, Reuse::Strict),
        ("refuse", Declared::Strict, Reuse::Strict),
        ("overlap-access-only", Declared::OverlapAccessOnly, Reuse::overlap_access_only(window)),
        ("overlap-successors", Declared::OverlapSuccessors, Reuse::overlap_successors(window)),
        ("overlap", Declared::OverlapSuccessors, Reuse::overlap_successors(window)),
        ("idempotent", Declared::Idempotent, Reuse::idempotent(window)),
        ("confirm-by-use", Declared::ConfirmByUse, Reuse::ConfirmByUse),
        ("unrotated", Declared::Unrotated, Reuse::Unrotated),
    ] {
        for option in ["--policy", "--reuse"] {
            let arguments = read(&[option, name]).expect(name);
            assert_eq!((arguments.policy, arguments.reuse()), (policy, reuse), "{option} {name}");
        }
    }
    let arguments = read(&[]).expect("strict is what is not declared");
    assert_eq!(arguments.reuse(), Reuse::Strict);
    assert!(wrong(&["--policy", "lax"]).contains("invalid value 'lax' for '--policy"));
}

#[test]
fn seconds_may_be_a_fraction_and_nothing_but_a_number() {
    let arguments = read(&["--retry-for=0", "--deadline", "2.5", "--expires-in=4", "--seconds=0"]);
    let arguments = arguments.expect("numbers");
    assert_eq!(arguments.retry_for, Some(Duration::ZERO));
    assert_eq!(arguments.deadline, Some(Duration::from_millis(2500)));
    assert_eq!(arguments.expires_in, Some(Duration::from_secs(4)));
    assert_eq!(arguments.seconds, Duration::ZERO);
    let arguments = read(&["--policy=idempotent", "--window", "10"]).expect("a window");
    assert_eq!(arguments.reuse(), Reuse::idempotent(Duration::from_secs(10)));
    for option in ["--retry-for", "--deadline", "--expires-in", "--seconds", "--window"] {
        for number in ["-1", "soon", "nan", "inf", "1e300", "2s", ""] {
            let told = wrong(&[option, number]);
            assert!(told.contains("a number of seconds from 0 on"), "{option} {number}: {told}");
        }
    }
}

#[test]
fn what_would_have_no_effect_is_refused() {
    for policy in ["strict", "confirm-by-use", "unrotated"] {
        let told = wrong(&["--policy", policy, "--window", "10"]);
        assert!(told.contains("--window is for a policy that has one"), "{told}");
    }
    assert!(wrong(&["--auth=post"]).contains("there is no --client-secret"));
    let arguments = read(&["--auth=post", "--client-secret=hush"]).expect("a secret");
    assert_eq!(arguments.auth, Some(Authentication::Post));
    assert!(wrong(&["--concurrency=0"]).contains("--concurrency"));
}

#[test]
fn a_secret_that_is_a_hyphen_is_a_line_of_standard_input_in_the_order_of_the_help() {
    let all = ["--access-token=-", "--refresh-token", "-", "--client-secret", "-"];
    let arguments = read_with(&all, "hush\r\nrt-1\nat-1").expect("three lines");
    let secrets = [arguments.client_secret, arguments.refresh_token, arguments.access_token];
    let secrets = secrets.map(|secret| secret.expect("all are there").expose().to_owned());
    assert_eq!(secrets, ["hush", "rt-1", "at-1"]);

    let arguments = read_with(&["--refresh-token=-rt-1"], "no").expect("it may begin so");
    assert_eq!(arguments.refresh_token.expect("it is there").expose(), "-rt-1");
    for input in ["", "\n"] {
        let error = read_with(&["--refresh-token=-"], input).expect_err("there is no line");
        assert!(error.to_string().contains("--refresh-token -: standard input"), "{error}");
    }
    let error = read_with(&["--refresh-token="], "").expect_err("it is empty");
    assert!(error.to_string().contains("SILENT_REFRESH_TOKEN, is empty"), "{error}");
    let error = read_with(&[], "").expect_err("it is needed");
    assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
}

#[test]
fn a_store_may_stand_for_the_refresh_token_and_its_kind_is_known_before_it_is_opened() {
    for store in ["file:grant.json", "redis://a/", "postgres://u:pw@a/d", "postgresql://a/d"] {
        let arguments = read_with(&["--store", store], "").expect(store);
        assert_eq!(arguments.store.expect("it is there").expose(), store);
        assert_eq!(
            (arguments.refresh_token.is_none(), &*arguments.store_key),
            (true, "silent_client")
        );
    }
    for store in ["planted", "file:", "memory", "mysql://u:planted@a/d", ""] {
        let told = wrong(&["--store", store]);
        assert!(told.contains("name `file:PATH`, or with the features"), "{told}");
        assert!(!told.contains("planted"), "{told}");
    }
    let error = read_with(&["--store=file:a", "--access-token=at"], "").expect_err("half a grant");
    assert!(error.to_string().contains("there is no --refresh-token"), "{error}");
}

// Rule G1.
#[test]
fn no_error_and_no_debug_text_shows_a_secret() {
    let given = [
        "--client-secret=planted-1",
        "--refresh-token=planted-2",
        "--access-token=planted-3",
        "--store=postgres://u:planted-5@a/d",
    ];
    let arguments = read_with(&given, "").expect("arguments");
    let shown = format!("{arguments:?} {arguments:#?}");
    assert!(!shown.contains("planted"), "{shown}");
    for slip in [
        &["planted-4"][..],
        &["-planted-4"],
        &["--seconds=no"],
        &["--auth=no"],
        &["--refresh-tokn=planted-4"],
        &["--refresh-token", "planted-4"],
        &["--policy=strict", "--window=1"],
    ] {
        let error = read_with(&[&given, slip].concat(), "").expect_err("a slip");
        for shown in [error.to_string(), format!("{error:?}"), error.render().ansi().to_string()] {
            assert!(!shown.contains("planted"), "{slip:?}: {shown}");
        }
    }
}

// Rule G1.
#[test]
fn what_an_http_client_might_quote_of_the_arguments_is_hidden() {
    let given = ["--refresh-token=rt-1", "--client-secret=hush", "--access-token=at-1"];
    let mut arguments = read_with(&given, "").expect("arguments");
    arguments.api_url = "http://me:mine@a/b?key=planted#c".into();
    let text = "http://me:mine@a/b?key=planted#c with rt-1, at-1 and hush";
    let expected = "http://[hidden]@a/b?[hidden] with [hidden], [hidden] and [hidden]";
    assert_eq!(Hidden::of(&arguments).without(text), expected);
}
