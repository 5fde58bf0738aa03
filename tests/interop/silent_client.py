"""`silent_client` against servers that serve, over each HTTP client: through expiries, and then
through faults that `fault_proxy` plays in between. Prints a line a run, and at the end the figures.

`python3 silent_client.py EXAMPLES LIFETIME NAME=FILE…`, with the seconds that an access token lives,
and files that hold the line that each server printed

What is expected of a run follows from what its server does with a refresh token that it sees twice,
and is declared to do. Nobody notices, except where a strict server has rotated and its answer is gone
for good (X6): its successor is nowhere, so the next try is declined, and the session is lost honestly,
by one refusal and no second one.
"""

import json
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

HTTP = ["reqwest", "ureq", "tower"]
POLICIES = {
    "oidc_provider": "strict",
    # Any refresh token of its own is good for ever.
    "oauth2_mock_server": "unrotated",
    "authlib_server": "strict",
    "authorization_server": "strict",
    "idempotent_server": "idempotent",
}
# How many lifetimes of an access token a run takes.
LIFETIMES = 4


@dataclass
class Fault:
    """A script for `fault_proxy`; each begins with a refresh that nothing befalls, unless it says so."""

    name: str
    script: list
    # Whether the server has rotated, and nobody has the answer.
    lost: bool = False
    # Whether there is an access token to start with.
    holding: bool = True
    options: tuple = ()

    def befell(self, server):
        """As it is for this server: gateways differ."""
        if self.lost:
            status = 502 + 2 * (list(POLICIES).index(server) % 2)
            return [step.format(status=status) for step in self.script]
        return self.script


FAULTS = [
    Fault("X6, a gateway's 502 or 504 instead of the answer", ["pass", "gateway={status}"], lost=True),
    # The other side of X6: no client can tell them apart, and here nothing is lost.
    Fault("a gateway's 502 before the server saw anything", ["pass", "status=502*2"]),
    Fault("X7, a captive portal without a token and with one",
          ["captive-portal*2", "pass", "captive-portal*2"], holding=False),
    Fault("X9, a byte order mark before every answer", ["bom*all"]),
    Fault("X51, the connection reset twice, and then three times",
          ["pass", "reset*2", "pass", "reset*3"]),
    # The access token lapses while the answer is on its way.
    Fault("X52, an answer later than the deadline", ["pass", "delay=3"], options=("--deadline", "2")),
]


@dataclass
class Run:
    name: str
    http: str
    server: str
    told: dict
    fault: Fault = None

    def is_to_be_lost(self):
        return self.fault is not None and self.fault.lost and POLICIES[self.server] == "strict"

    def title(self):
        what = f", {self.fault.name}" if self.fault else ""
        return f"{self.http} against {self.server} ({POLICIES[self.server]}){what}"

    def login(self):
        """A login of the run's own."""
        url = f"{self.told['seed_url']}?name={self.name}&ttl={lifetime}"
        with urllib.request.urlopen(url, data=b"") as answer:
            # Our own server answers with the tokens alone.
            return self.told | json.load(answer)

    def through_faults(self, login):
        """The run's report, and what its proxy said."""
        script = [f"--fault={step}" for step in self.fault.befell(self.server)]
        command = [f"{examples}/fault_proxy", "--before", login["token_endpoint"], *script]
        proxy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        login |= json.loads(proxy.stdout.readline())
        options = [*self.fault.options, "--requests=100", f"--policy={POLICIES[self.server]}"]
        if self.fault.holding:
            options.append(f"--expires-in={lifetime}")
        else:
            del login["access_token"]
        report = self.client(login, options)
        # It ends with its standard input.
        played, _ = proxy.communicate()
        return report | {"faults": json.loads(played)}

    def client(self, login, options):
        """The report of `silent_client`. Secrets are not for a command line."""
        options = [f"--http={self.http}", f"--seconds={LIFETIMES * lifetime}", *options]
        command = [f"{examples}/silent_client", *options]
        for key in ("token_endpoint", "api_url", "client_id"):
            command += [f"--{key.replace('_', '-')}", login[key]]
        secrets = {"SILENT_CLIENT_SECRET": "client_secret", "SILENT_REFRESH_TOKEN": "refresh_token",
                   "SILENT_ACCESS_TOKEN": "access_token"}
        secrets = {variable: login[key] for variable, key in secrets.items() if login.get(key)}
        ended = subprocess.run(command, env=os.environ | secrets, capture_output=True, text=True)
        if not ended.stdout:
            raise RuntimeError(f"{self.title()}: no report: {ended.stderr}")
        return json.loads(ended.stdout) | {"exit": ended.returncode, "said": ended.stderr}

    def run(self):
        """The run's report, and what is wrong with it."""
        login = self.login()
        plain = ["--requests=200"] + (["--auth=post"] if self.posts() else [])
        report = self.through_faults(login) if self.fault else self.client(login, plain)
        expected = {"failed": 0, "unmade": 0, "session": "ok", "exit": 0, "refresh_declined": 0}
        if self.is_to_be_lost():
            expected = {"unmade": 0, "session": "log in", "exit": 1, "refresh_declined": 1}
        wrong = [f"{key} is not {value}" for key, value in expected.items() if report[key] != value]
        if not self.is_to_be_lost() and report["refreshes"] < (3 if self.fault else 5):
            wrong.append("too few refreshes")
        if self.fault and report["faults"]["unplayed"]:
            wrong.append("not all faults were played")
        # Our own server counts all its clients together.
        if f"/{self.name}/" in login["stats_url"]:
            # As the server saw it: no spent token is presented, and after a refusal nothing more.
            with urllib.request.urlopen(login["stats_url"]) as answer:
                refused = json.load(answer)["token_refused"]
            if refused != expected["refresh_declined"]:
                wrong.append(f"the server has refused {refused} times")
        # The first of what it said is where it went wrong.
        said = "\n".join(report.pop("said").splitlines()[:8])
        return report, [*wrong, said] if wrong else []

    def posts(self):
        """Whether the client's secret goes in the body: not all clients need do the same."""
        return self.http == "tower" and self.server in ("authlib_server", "authorization_server")


def wave(runs):
    """Runs them all at once."""
    with ThreadPoolExecutor(len(runs) or 1) as pool:
        return list(zip(runs, pool.map(Run.run, runs)))


if __name__ == "__main__":
    examples, lifetime, *servers = sys.argv[1:]
    lifetime = int(lifetime)
    told = {}
    for server in servers:
        name, _, file = server.partition("=")
        with open(file) as line:
            told[name] = json.load(line)
    plain = [Run(http, http, server, told[server]) for server in told for http in HTTP]
    # Each fault before each server, and over each client before some of them.
    faulty = [
        Run(f"fault-{number}", HTTP[(number + index) % 3], server, told[server], fault)
        for index, server in enumerate(told)
        for number, fault in enumerate(FAULTS)
    ]
    results = wave(plain) + wave(faulty)
    if os.getloadavg()[0] > 2 * os.cpu_count():
        # On a machine that is so busy tokens lapse on their way: what failed has proved nothing.
        again = [replace(run, name=f"{run.name}-again") for run, (_, wrong) in results if wrong]
        print(f"The machine is busy: {len(again)} runs are done again", file=sys.stderr)
        results = [it for it in results if not it[1][1]] + wave(again)
    failed = []
    figures = dict(runs=len(plain) + len(faulty), refreshes=0, faulty_runs=len(faulty), lost=0)
    for run, (report, wrong) in results:
        print(f"{run.title()}: {json.dumps(report, separators=(',', ':'))}", flush=True)
        figures["refreshes"] += report["refreshes"]
        figures["lost"] += report["session_lost"]
        if wrong:
            failed.append(f"{run.title()}: {'; '.join(wrong)}")
    if failed:
        sys.exit("\n".join(failed))
    print(*(f"{key}={value}" for key, value in figures.items()))
