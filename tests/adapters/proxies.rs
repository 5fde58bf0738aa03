//! Plain http to this machine past the proxies of the environment, which could read what it says.
//!
//! Such an environment is that of a process: `child` is run in one of its own.

use std::env;
use std::process::Command;

use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::{reqwest as on_reqwest, ureq as on_ureq};
use perennial::interceptor::{Interceptor, InterceptorBuilder, Refused};
use perennial::refresh::Refresh;
use perennial::session::{self, Session};
use perennial::token::Grant;
use perennial::wire::Client;
use ureq::Agent;

use crate::client::Adapter;
use crate::wire::scene::client_of;
use crate::wire::{GOOD, Server, answer, soon};
use crate::world::{World, run};

const CHILD: &str = "PERENNIAL_TEST_PROXIED";

// Rules E5, E6. Case X28.
#[test]
fn plain_http_to_this_machine_is_read_by_no_proxy() {
    run(async {
        let proxy = Server::answering(|_| answer("502 Bad Gateway", &[], "proxied")).await;
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["--exact", "proxies::child", "--nocapture"]).env(CHILD, "yes");
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, proxy.url(""));
        }
        for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
            command.env_remove(name);
        }
        let child = tokio::task::spawn_blocking(move || command.output());
        let output = child.await.expect("a thread").expect("a child");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("1 passed"), "{said}");
        // What is for elsewhere goes through it, which shows that it would have been used.
        let log = proxy.log();
        let lines: Vec<_> = log.iter().map(crate::wire::Received::line).collect();
        assert_eq!(
            lines,
            [
                "GET http://api.invalid/control",
                "POST http://token.invalid/token",
                "POST http://revoke.invalid/revoke",
            ]
        );
        for secret in crate::wire::SECRETS {
            let allowed = |it: &&crate::wire::Received| !it.line().starts_with("POST");
            assert!(!log.iter().filter(allowed).any(|it| it.head.contains(secret)), "{log:?}");
        }
    });
}

#[test]
fn child() {
    if env::var_os(CHILD).is_some() {
        run(async {
            let control = reqwest::Client::new().get("http://api.invalid/control").send();
            assert_eq!(soon(control).await.expect("the proxy's answer").status(), 502);
            requests_go_past_it().await;
            token_requests_go_past_it().await;
            each_endpoint_goes_its_own_way().await;
        });
    }
}

fn interceptor(builder: InterceptorBuilder) -> Interceptor {
    builder.build().expect("an interceptor")
}

fn by_reqwest(builder: InterceptorBuilder) -> reqwest_middleware::ClientWithMiddleware {
    let http = reqwest::Client::builder();
    on_reqwest::BearerMiddleware::client(interceptor(builder), http).expect("a client").build()
}

/// Also replays, which go by another agent.
async fn requests_go_past_it() {
    let world = World::liking_new_tokens(Adapter::Reqwest).await;
    let url = world.api.url("/things");
    let here = || Interceptor::builder(world.session.clone()).origin(&url);
    let answer = soon(by_reqwest(here()).get(&url).send()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(world.bearers(), ["access-1", "access-2"]);
    // Where the client is for other hosts as well, a proxy may be wanted for those.
    let anywhere = Interceptor::builder(world.session.clone()).any_origin();
    for builder in [here().origin("https://api.example.com"), anywhere] {
        let error = soon(by_reqwest(builder).get(&url).send()).await.expect_err("refused");
        let reqwest_middleware::Error::Middleware(error) = error else { panic!("{error:?}") };
        assert!(matches!(error.downcast_ref(), Some(Refused::Proxied(_))), "{error:?}");
        assert!(error.to_string().contains("name it in `NO_PROXY`"), "{error}");
    }
    assert_eq!(world.api.requests(), 2);

    let world = World::liking_new_tokens(Adapter::Ureq).await;
    let url = world.api.url("/things");
    let here = Interceptor::builder(world.session.clone()).any_origin();
    let bearer = on_ureq::BlockingBearerMiddleware::new(interceptor(here));
    let agent: Agent = Agent::config_builder().middleware(bearer).build().into();
    let status = tokio::task::spawn_blocking(move || agent.get(url).call().map(|it| it.status()));
    assert_eq!(soon(status).await.expect("a thread").expect("an answer"), 200);
    assert_eq!(world.bearers(), ["access-1", "access-2"]);
}

async fn token_requests_go_past_it() {
    let auth = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    let client = || client_of(&auth).build().expect("a client");
    let refresher = || RefreshGrant::new(client()).expect("a refresher");
    let own = refresher().http_client(reqwest::Client::builder).expect("a client");
    let agent = Agent::new_with_defaults();
    let sessions: [session::Builder; 4] = [
        Session::builder_with(refresher()),
        Session::builder_with(own),
        Session::builder_blocking(on_ureq::refresh_grant(client())),
        Session::builder_blocking(on_ureq::refresh_grant_through(client(), agent)),
    ];
    for (number, builder) in sessions.into_iter().enumerate() {
        let session = builder.grant(Grant::of_refresh_token("refresh-1")).build();
        let token = soon(session.expect("a session").token()).await;
        assert_eq!(token.expect("a token").expose(), "access-2", "session {number}");
        assert_eq!(auth.requests(), number + 1);
    }
}

/// The proxy of one endpoint is not switched off by where another one is.
async fn each_endpoint_goes_its_own_way() {
    let here = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    let client = |token: &str, revocation: &str| {
        let client = Client::builder(token, "app").revocation_endpoint(revocation);
        client.allow_plain_http().build().expect("a client")
    };
    let apart = client("http://token.invalid/token", &here.url("/revoke"));
    let refresher = RefreshGrant::new(apart).expect("a refresher");
    let session = Session::builder_with(refresher.clone());
    let session = session.grant(Grant::of_refresh_token("refresh-1")).build().expect("a session");
    soon(session.token()).await.expect_err("what the proxy says is no grant");
    soon(refresher.revoke(Grant::of_refresh_token("refresh-1"))).await;
    assert_eq!(here.log()[0].line(), "POST /revoke");
    let apart = client(&here.url("/token"), "http://revoke.invalid/revoke");
    let refresher = RefreshGrant::new(apart).expect("a refresher");
    soon(refresher.revoke(Grant::of_refresh_token("refresh-1"))).await;
    assert_eq!(here.requests(), 1);
}
