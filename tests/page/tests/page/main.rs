//! The example `live_page` in headless Chromium: what a person sees of an outage, read from named elements. And
//! the account of `token_server`, whose refresh token is in a cookie.
//!
//! `.ci/page` builds the example and runs this. By hand, from the repository's root:
//! `cargo build --example live_page --example token_server`, then `cargo test --manifest-path tests/page/Cargo.toml`. The variable
//! `LIVE_PAGE` names another program than `target/debug/examples/live_page`.

mod account;
mod browser;
mod http;
mod program;
mod relay;
mod view;

use std::time::Duration;

use browser::Browser;
use fantoccini::Locator;
use program::{Program, SECRET};
use relay::Relay;
use tokio::time::Instant;
use view::{Session, View};

/// How long something may take to be shown.
const LIMIT: Duration = Duration::from_mins(1);

/// The example, and a page on it; `None` where there is no browser, which is said loudly.
async fn open(lifetime: &str) -> Option<(Program, Browser)> {
    let browser = Browser::start().await?;
    let program = Program::start(lifetime).await;
    browser.goto(&program.url).await;
    Some((program, browser))
}

fn all_are_valid(view: &View) -> bool {
    view.sessions.len() == 8 && view.sessions.values().all(|it| it.get("state") == "valid")
}

fn fail(sessions: &[&Session]) -> bool {
    sessions.len() == 3 && sessions.iter().all(|it| it.number("failures") > 0)
}

#[tokio::test]
async fn an_outage_is_shown_with_its_cause_its_next_try_and_its_end_while_callers_are_served() {
    let Some((program, browser)) = open("40s").await else { return };
    let before = browser.until("all sessions are valid", LIMIT, all_are_valid).await;
    assert_eq!(before.headline, "All 8 sessions work: each has a token, and refreshes succeed.");
    assert!((program.failing("billing").await - 0.0).abs() < 0.1);

    browser.click("outage-503").await;
    let began = Instant::now();
    let during = browser
        .until("billing cannot refresh", LIMIT, |view| fail(&view.of_client("billing")))
        .await;
    assert!(during.outage.contains("billing: the token endpoint answers 503"), "{}", during.outage);
    for session in during.of_client("billing") {
        assert_eq!(session.get("error"), "unavailable");
        assert_eq!(session.get("status"), "503");
        assert_eq!(session.get("cause"), "due");
        assert!(["expiring", "refreshing"].contains(&session.get("state")), "{session:?}");
        assert!(session.seconds("usable-for") > 0, "{session:?}");
        assert!(session.get("retry-in") == "now" || session.seconds("retry-in") <= 8);
        assert!(
            session.get("plain").starts_with("cannot refresh; token works for "),
            "{session:?}"
        );
    }
    for session in during.of_client("mail") {
        assert_eq!((session.get("failures"), session.get("status")), ("0", "–"));
    }
    let headline = &during.headline;
    let begins = "3 of 8 sessions (billing) cannot refresh: the token endpoint answers 503 since ";
    assert!(headline.starts_with(begins), "{headline}");
    assert!(headline.contains("; next try in ") || headline.contains("; trying now"), "{headline}");
    assert!(headline.contains("; their tokens still work for "), "{headline}");
    assert!(headline.ends_with(", so callers are served"), "{headline}");
    assert!((program.failing("billing").await - 3.0).abs() < 0.1);
    assert!((program.failing("mail").await - 0.0).abs() < 0.1);

    let served = browser.until("more requests are answered", LIMIT, |view| {
        let more =
            |session: &Session| session.answered() > during.session(session.id()).answered() + 2;
        view.of_client("billing").into_iter().all(more)
    });
    for session in served.await.of_client("billing") {
        assert!(session.seconds("usable-for") > 0, "its token still works: {session:?}");
        assert_eq!(session.failed(), during.session(session.id()).failed(), "{session:?}");
    }
    counts_down(&browser, "billing-2").await;

    let expired = browser.until("the tokens have expired", LIMIT, |view| {
        let is_over = |it: &Session| it.get("usable-for") == "0 s" && it.get("state") != "valid";
        view.of_client("billing").into_iter().all(is_over)
    });
    let expired = expired.await;
    let told = &expired.headline;
    assert!(told.ends_with("their tokens no longer work: callers wait, or get an error"), "{told}");
    for session in expired.of_client("billing") {
        assert_eq!(session.get("plain"), "cannot refresh; callers wait or fail");
    }

    browser.click("outage-end").await;
    let ended = |view: &View| view.outage == "Made to fail now: nothing";
    browser.until("the outage is ended", Duration::from_secs(5), ended).await;
    let after = browser.until("billing has recovered", LIMIT, |view| {
        view.of_client("billing").iter().all(|it| it.get("failures") == "0")
            && view.headline.starts_with("All 8 sessions work again")
    });
    let (after, at_most) = (after.await, began.elapsed().as_secs() + 1);
    let told = &after.headline;
    let (_, took) = told.split_once(": 3 could not refresh for up to ").expect(told);
    let took: u64 = took.trim_end_matches(" s.").parse().expect(told);
    assert!((3..=at_most).contains(&took), "{told}, of {at_most} s at most");
    for session in after.of_client("billing") {
        let (clock, length) = session.get("recovered").split_once(", after ").expect("it is over");
        assert_eq!(clock.len(), "00:00:00".len(), "{clock}");
        let length: u64 = length.trim_end_matches(" s").parse().expect("a number of seconds");
        assert!((3..=took).contains(&length), "{length} of {took}");
        let generation = during.session(session.id()).number("generation");
        assert_eq!(session.number("generation"), generation + 1, "{session:?}");
        assert_eq!((session.get("error"), session.get("status")), ("–", "–"));
    }
    assert!((program.failing("billing").await - 0.0).abs() < 0.1);
    assert!(
        after.log.iter().any(|it| it.contains("refresh.succeeded") && it.contains("outage of"))
    );
}

/// Waits until the time to the next try is seen twice between two tries, the second time shorter.
async fn counts_down(browser: &Browser, id: &str) {
    let mut seen: Option<(u64, u64)> = None;
    let counted = browser.until("the time to the next try becomes shorter", LIMIT, |view| {
        let session = view.session(id);
        if session.get("retry-in") == "now" {
            return false;
        }
        let (failures, left) = (session.number("failures"), session.seconds("retry-in"));
        let first = *seen.get_or_insert((failures, left));
        if first.0 != failures {
            seen = Some((failures, left));
        }
        first.0 == failures && left < first.1
    });
    counted.await;
}

#[tokio::test]
async fn a_retry_after_is_shown_as_the_time_of_the_next_try() {
    let Some((program, browser)) = open("20s").await else { return };
    browser.until("all sessions are valid", LIMIT, all_are_valid).await;
    program.post("/outage?status=503&retry-after=40&for=60s&client=mail").await;
    let shown = browser.until("mail cannot refresh", LIMIT, |view| {
        view.sessions.values().filter(|it| it.number("failures") > 0).count() == 5
    });
    let shown = shown.await;
    for session in shown.of_client("mail") {
        // Backoff alone is 8 s at most.
        let wait = session.seconds("retry-in");
        assert!((15..=40).contains(&wait), "{session:?}");
    }
    assert!(
        shown
            .headline
            .starts_with("5 of 8 sessions (mail) cannot refresh: the token endpoint answers 503"),
        "{}",
        shown.headline
    );
    assert!(shown.outage.contains("mail: the token endpoint answers 503 with Retry-After: 40"));
}

#[tokio::test]
async fn a_reload_and_a_stream_that_was_cut_show_the_same_again() {
    let Some(browser) = Browser::start().await else { return };
    let program = Program::start("20s").await;
    let relay = Relay::before(&program.url).await;
    browser.goto(&relay.url).await;
    browser.until("all sessions are valid", LIMIT, all_are_valid).await;
    // Nothing changes until the next try.
    program.post("/outage?status=503&retry-after=300&for=5min&client=billing").await;
    let shown = browser
        .until("billing cannot refresh", LIMIT, |view| fail(&view.of_client("billing")))
        .await;
    let same = |view: &View| {
        view.connection == "connected"
            && shown.of_client("billing").iter().all(|before| {
                let now = view.session(before.id());
                let is = |field| now.get(field) == before.get(field);
                ["failures", "error", "status", "cause", "generation", "budget", "rejections"]
                    .into_iter()
                    .all(is)
                    && now.marks == before.marks
                    && before.marks.contains(&"failure".to_owned())
            })
            && view.headline.split(" since ").next() == shown.headline.split(" since ").next()
            && view.headline.split("; ").next() == shown.headline.split("; ").next()
    };
    assert!(same(&browser.view().await) && shown.numbers.len() >= 20, "before anything is done");

    browser.reload().await;
    let log = |view: &View| shown.numbers.iter().take(10).all(|it| view.numbers.contains(it));
    browser.until("a reload shows the same", LIMIT, |view| same(view) && log(view)).await;

    relay.cut();
    let cut = browser.until("the page says that it is cut off", LIMIT, |view| {
        view.connection.starts_with("not connected")
    });
    cut.await;
    let cut_at = browser.view().await.session("mail-1").number("generation");
    // Events that the page cannot hear of.
    program.until_refreshed("mail", LIMIT).await;
    assert_eq!(browser.view().await.session("mail-1").number("generation"), cut_at);
    relay.restore();
    let again = browser.until("the stream is back, and shows what it missed", LIMIT, |view| {
        same(view) && view.session("mail-1").number("generation") > cut_at
    });
    again.await;
}

#[tokio::test]
async fn tokens_that_the_api_rejects_are_shown_with_what_became_of_them() {
    let Some((program, browser)) = open("2min").await else { return };
    browser.until("all sessions are valid", LIMIT, all_are_valid).await;
    program.post("/outage?status=401&for=1s&client=mail").await;
    let shown = browser.until("mail's tokens were rejected", LIMIT, |view| {
        view.of_client("mail")
            .iter()
            .all(|it| it.number("rejections") > 0 && it.get("state") == "valid")
            && view.sessions.values().filter(|it| it.number("rejections") > 0).count() == 5
    });
    let shown = shown.await;
    assert_eq!(
        shown.headline,
        "The API of mail rejected the tokens of 5 sessions; they were replaced, and the requests sent again."
    );
    for session in shown.of_client("mail") {
        assert_eq!(
            (session.get("cause"), session.get("failures")),
            ("rejected", "0"),
            "{session:?}"
        );
        assert_eq!((session.failed(), session.number("generation")), (0, 2), "{session:?}");
        assert!(session.marks.contains(&"rejection".to_owned()), "{session:?}");
    }
    for session in shown.of_client("billing") {
        assert_eq!(session.get("rejections"), "0");
    }
    let told = |name: &str| shown.log.iter().any(|line| line.contains(name));
    assert!(told("token.rejected") && told("token.recovered") && told("response.rejected"));
}

#[tokio::test]
async fn no_client_secret_and_nothing_like_a_token_is_in_the_page_its_events_or_its_metrics() {
    let Some((program, browser)) = open("6s").await else { return };
    program.post("/outage?status=503&for=4s&client=billing").await;
    program.post("/outage?status=401&for=4s&client=mail").await;
    let over = browser.until("both are over", LIMIT, |view| {
        view.log.iter().any(|it| it.contains("outage of"))
            && view.of_client("mail").iter().all(|it| it.number("rejections") > 0)
    });
    over.await;
    let texts = [
        ("the page", browser.source().await),
        ("/events", program.events(200_000).await),
        ("/metrics", program.get("/metrics").await),
        ("standard output", program.said()),
    ];
    for (name, text) in &texts {
        assert!(!text.contains(SECRET), "{name} holds the client secret");
        // A token is 43 of these characters.
        let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || "-_".contains(it)));
        let long: Vec<_> = words.filter(|word| word.len() >= 43).collect();
        assert!(long.is_empty(), "{name} holds what could be a token: {long:?}");
    }
    let [(_, page), (_, events), (_, metrics), _] = &texts;
    assert!(
        page.contains("billing-1") && events.contains("refresh.failed"),
        "are they still read?"
    );
    for name in
        ["perennial_refresh_duration", "perennial_session_failing", "perennial_token_rejected"]
    {
        assert!(metrics.contains(name), "{name}");
    }
}

#[tokio::test]
async fn the_page_is_not_wider_than_a_telephone_and_each_fact_has_a_label() {
    let Some((_program, browser)) = open("20s").await else { return };
    for (width, height) in [(1280, 800), (500, 800)] {
        browser.resize(width, height).await;
        browser.until("all sessions are shown", LIMIT, |view| view.sessions.len() == 8).await;
        assert_eq!(browser.overflow().await, 0, "at {width} pixels");
    }
    let unlabelled = "return [...document.querySelectorAll('dd')].filter((it) => !it.previousElementSibling?.textContent).length";
    assert_eq!(browser.execute(unlabelled).await, 0);
    let named =
        browser.find_all(Locator::Css("section[aria-label], article[aria-labelledby]")).await;
    assert!(named >= 8 + 3, "{named}");
}

/// With `UPDATE_PICTURES=1`: the picture of the documentation.
#[tokio::test]
async fn the_picture_of_an_outage_is_small() {
    let root = program::root();
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        let Some((program, browser)) = open("40s").await else { return };
        browser.resize(1280, 800).await;
        browser.until("all sessions are valid", LIMIT, all_are_valid).await;
        let rounds = |client: &str, most: u64| {
            let client = client.to_owned();
            move |view: &View| {
                view.of_client(&client).iter().all(|it| it.number("generation") >= most)
            }
        };
        browser.until("a while has passed", 3 * LIMIT, rounds("billing", 5)).await;
        program.post("/outage?status=401&for=1s&client=mail").await;
        browser.until("tokens were replaced", LIMIT, rounds("mail", 6)).await;
        program.post("/outage?status=503&for=2min&client=billing").await;
        let ripe = browser.until("several tries have failed", 2 * LIMIT, |view| {
            view.of_client("billing")
                .iter()
                .all(|it| (3..=8).contains(&it.seconds("usable-for")) && it.seconds("retry-in") > 0)
        });
        ripe.await;
        let picture = perennial_page_test::indexed(&browser.screenshot().await);
        std::fs::write(root.join("src/live_page.png"), &picture).expect("it can be written");
        let page = perennial_page_test::page(&picture);
        std::fs::write(root.join("src/live_page.md"), page).expect("it can be written");
    }
    let picture =
        std::fs::read(root.join("src/live_page.png")).expect("UPDATE_PICTURES=1 makes it");
    assert!(picture.len() < 150_000, "{} bytes", picture.len());
    let page = std::fs::read_to_string(root.join("src/live_page.md")).expect("made with it");
    assert_eq!(
        page,
        perennial_page_test::page(&picture),
        "both are made by UPDATE_PICTURES=1 .ci/page"
    );
}
