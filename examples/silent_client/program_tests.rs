//! The whole program, as a process: this very one, run again for `child` alone.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

const ARGUMENTS: &str = "SILENT_CLIENT_TEST_ARGUMENTS";
const CLIENTS: [&str; 3] = ["reqwest", "ureq", "tower"];

/// The program itself.
#[test]
fn child() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let arguments: Vec<String> = serde_json::from_str(&arguments).expect("a list");
    let code = crate::silent_client(arguments.into_iter().map(Into::into));
    std::process::exit(code.into());
}

/// The program, with secrets in its environment and a line as its standard input.
fn start(token_endpoint: &str, api_url: &str, more: &[&str], input: &str) -> Child {
    let required = [
        "silent_client",
        "--client-id=c",
        "--token-endpoint",
        token_endpoint,
        "--api-url",
        api_url,
    ];
    let arguments = [&required, more].concat();
    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "program_tests::child", "--nocapture", "--quiet"])
        .env(ARGUMENTS, json!(arguments).to_string())
        .env("SILENT_REFRESH_TOKEN", "planted-rt")
        .env("SILENT_ACCESS_TOKEN", "planted-at")
        .env("SILENT_CLIENT_SECRET", "planted-secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A child that does not read it may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    child
}

/// What a program that has ended said, and that it showed no secret.
struct Told {
    report: Option<Value>,
    code: Option<i32>,
    text: String,
}

fn told(output: &Output) -> Told {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert!(!text.contains("planted"), "{text}");
    let line = String::from_utf8_lossy(&output.stdout);
    let line = line.lines().find(|line| line.starts_with('{'));
    let report = line.map(|line| serde_json::from_str(line).expect("a line of JSON"));
    Told { report, code: output.status.code(), text }
}

fn run(token_endpoint: &str, api_url: &str, more: &[&str]) -> Told {
    let child = start(token_endpoint, api_url, more, "");
    told(&child.wait_with_output().expect("it ends"))
}

/// A URL that nobody serves.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/", listener.local_addr().expect("an address"))
}

/// A server that gives each request this answer, and tells of it.
fn serve(answer: fn(&str) -> (u16, &'static str)) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (tell, seen) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let Some(request) = request(&mut stream) else { continue };
            let (status, body) = answer(&request);
            let head = "content-type: application/json\r\nconnection: close";
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} _\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
            // Whoever is gone misses nothing.
            let _ = stream.write_all(answer.as_bytes());
            let _ = tell.send(request);
        }
    });
    (url, seen)
}

fn request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
            return Some(String::from_utf8_lossy(&request).into_owned());
        }
    }
}

const DECLINED: (u16, &str) = (400, r#"{"error":"invalid_grant"}"#);
const GRANTED: (u16, &str) =
    (200, r#"{"access_token":"planted-at-2","token_type":"Bearer","expires_in":600}"#);

#[test]
fn where_nothing_can_be_reached_the_report_is_printed_all_the_same() {
    for http in CLIENTS {
        let more = ["--http", http, "--requests=3", "--seconds=0", "--expires-in=0"];
        let more = [&more[..], &["--retry-for=0"]].concat();
        let Told { report, code, text } = run(&nowhere(), &nowhere(), &more);
        let report = report.expect("a report");
        assert_eq!((&report["failed"], &report["session"]), (&3.into(), &"unavailable".into()));
        assert_eq!((&report["ended"], code), (&"done".into(), Some(1)), "{text}");
        let error = report["last_error"].as_str().expect("an error");
        assert!(error.contains("could not be reached"), "{http}: {error}");
    }
}

#[test]
fn a_session_that_is_lost_is_reported_and_the_server_asked_once() {
    for http in CLIENTS {
        let (tokens, asked) = serve(|_| DECLINED);
        let (api, _called) = serve(|_| (401, "{}"));
        let more = ["--http", http, "--requests=5", "--seconds=0", "--concurrency=1"];
        let Told { report, code, text } = run(&tokens, &api, &more);
        let report = report.expect("a report");
        let counts = ["ok", "failed", "unmade", "refreshes", "refresh_declined", "session_lost"];
        assert_eq!(
            counts.map(|name| report[name].as_u64()),
            [0, 5, 0, 0, 1, 1].map(Some),
            "{text}"
        );
        assert_eq!((&report["session"], code), (&"log in".into(), Some(1)), "{text}");
        assert_eq!(asked.try_iter().count(), 1);
    }
}

#[test]
fn secrets_come_from_the_environment_and_from_standard_input() {
    let more = ["--requests=2", "--seconds=0", "--expires-in=0", "--refresh-token=-"];
    for (http, auth) in [("reqwest", "post"), ("ureq", "basic"), ("tower", "post")] {
        let (tokens, asked) = serve(|_| GRANTED);
        let (api, called) = serve(|_| (200, "{}"));
        let more = [&more[..], &["--http", http, "--auth", auth]].concat();
        let child = start(&tokens, &api, &more, "planted-rt-of-a-line\n");
        let Told { report, code, text } = told(&child.wait_with_output().expect("it ends"));
        let report = report.expect("a report");
        assert_eq!((&report["ok"], &report["session"], code), (&2.into(), &"ok".into(), Some(0)));
        assert_eq!(report["last_error"], Value::Null, "{text}");
        let asked: Vec<String> = asked.try_iter().collect();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert!(asked[0].contains("refresh_token=planted-rt-of-a-line"), "{asked:?}");
        let posted = asked[0].contains("client_secret=planted-secret");
        let in_header = asked[0].to_lowercase().contains("authorization: basic ");
        assert_eq!((posted, in_header), (auth == "post", auth == "basic"), "{asked:?}");
        assert!(called.try_iter().all(|request| request.contains("Bearer planted-at-2")));
    }
}

#[test]
fn what_a_run_has_stored_the_next_one_goes_on_with() {
    for http in CLIENTS {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let store = format!("--store=file:{}", folder.path().join("grant.json").display());
        let (tokens, asked) = serve(|_| GRANTED);
        let (api, called) = serve(|_| (200, "{}"));
        let more = ["--http", http, "--requests=2", "--seconds=0", "--expires-in=0", &store];
        for run_number in 1..=2 {
            let Told { report, code, text } = run(&tokens, &api, &more);
            assert_eq!((&report.expect("a report")["ok"], code), (&2.into(), Some(0)), "{text}");
            assert_eq!(
                called.try_iter().filter(|it| it.contains("Bearer planted-at-2")).count(),
                2
            );
            // The first run alone refreshes: the second finds what that has stored.
            assert_eq!(asked.try_iter().count(), 2 - run_number, "{http}");
        }
    }
}

// The API takes a request and does not answer it.
#[cfg(unix)]
#[test]
fn behind_a_signal_the_report_is_printed_whatever_hangs() {
    for (http, signal, ended, code) in [
        ("reqwest", "TERM", "terminate", 143),
        ("ureq", "TERM", "terminate", 143),
        ("tower", "TERM", "terminate", 143),
        ("reqwest", "INT", "interrupt", 130),
        ("ureq", "INT", "interrupt", 130),
    ] {
        let api = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", api.local_addr().expect("an address"));
        let more = ["--http", http, "--requests=1000", "--seconds=1000000"];
        let child = start(&nowhere(), &url, &more, "");
        let (mut stream, _) = api.accept().expect("a request");
        request(&mut stream).expect("it is whole");
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.expect("there is a kill").success());
        let Told { report, code: exit, text } = told(&child.wait_with_output().expect("it ends"));
        let report = report.expect("a report");
        let counts = ["ok", "failed", "unmade", "session_lost"].map(|name| report[name].as_u64());
        assert_eq!(counts, [0, 0, 1000, 0].map(Some), "{text}");
        let is = (&report["ended"], &report["session"], exit);
        assert_eq!(is, (&ended.into(), &"ok".into(), Some(code)), "{http} {text}");
        // Nothing had to be given up: the requests were told to stop.
        assert_eq!(report["last_error"], Value::Null, "{http} {text}");
    }
}

#[test]
fn what_cannot_start_says_why_and_is_reported() {
    for (token_endpoint, api_url, more, why) in [
        ("nonsense", "http://127.0.0.1/", &[][..], "--token-endpoint: the token endpoint is not"),
        ("http://planted:planted@127.0.0.1/", "http://127.0.0.1/", &[], "holds a user name"),
        ("http://127.0.0.1/", "nonsense", &[], "--api-url: the origin must begin with https://"),
        ("http://127.0.0.1/", "http://api.example.com/", &[], "--api-url: the origin"),
        ("http://127.0.0.1/", "http://127.0.0.1/", &["--deadline=0"], "--deadline: refresh_dead"),
        (
            "http://127.0.0.1/",
            "http://127.0.0.1/",
            &["--policy=idempotent", "--window=0"],
            "--window and --deadline: reuse window must be at least one millisecond",
        ),
        ("http://127.0.0.1/", "http://127.0.0.1/", &["--access-token=\n"], "access token holds"),
        (
            "http://127.0.0.1/",
            "http://127.0.0.1/",
            &["--store=postgres://u:planted@127.0.0.1:1/d"],
            "--store: ",
        ),
        ("http://127.0.0.1/", "http://127.0.0.1/", &["--store=redis://:planted@a:x/"], "--store: "),
    ] {
        for http in CLIENTS {
            let more = [more, &["--http", http]].concat();
            let Told { report, code, text } = run(token_endpoint, api_url, &more);
            let report = report.expect("a report");
            assert!(report["last_error"].as_str().expect("an error").contains(why), "{text}");
            let is = (&report["session"], &report["ended"], &report["unmade"], code);
            let not_started = Value::from("not started");
            assert_eq!(is, (&not_started, &not_started, &200.into(), Some(2)), "{text}");
        }
    }
}

#[test]
fn help_shows_the_variables_and_not_what_they_hold_and_a_slip_has_no_report() {
    let Told { report, code, text } = run("http://a", "http://a", &["--help"]);
    for shown in
        ["SILENT_REFRESH_TOKEN", "SILENT_CLIENT_SECRET", "SILENT_ACCESS_TOKEN", "SILENT_STORE"]
    {
        assert!(text.contains(shown), "{text}");
    }
    assert_eq!((report, code), (None, Some(0)));
    let Told { report, code, text } = run("http://a", "http://a", &["--reuse=x", "planted"]);
    assert_eq!((report, code), (None, Some(2)), "{text}");
}
