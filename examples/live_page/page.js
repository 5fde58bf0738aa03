// Draws what /events says: a snapshot first, then each event with what is known of its session after it.
"use strict";

/** How much of the past the timelines show, in milliseconds. */
const SHOWN = 150_000;
/** For how long the headline speaks of what is over. */
const RECENT = { recovery: 60_000, rejection: 15_000 };
const LOGGED = 80;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

const sessions = new Map();
/** The requests of all callers, at the latest pulses. */
let counted = [];
/** What the server's clock is ahead of this page's. */
let ahead = null;
const now = () => performance.now() + (ahead ?? 0);

// ---- what is known ----

function setClock(at) {
  const measured = at - performance.now();
  // A message may be late, never early.
  if (ahead === null || measured > ahead || ahead - measured > 2_000) ahead = measured;
}

function begin(snapshot) {
  setClock(snapshot.now);
  sessions.clear();
  counted = [];
  $("sessions").replaceChildren();
  $("log").replaceChildren();
  for (const { id, client, facts } of snapshot.sessions) {
    sessions.set(id, { id, client, facts, past: [], marks: [], requests: [0, 0], shown: row(id, client) });
  }
  for (const message of snapshot.events) take(message);
  // Also of sessions whose events are all too old to be kept.
  for (const { id, facts } of snapshot.sessions) sessions.get(id).facts = facts;
  pulse(snapshot);
}

const MARKS = { "refresh.succeeded": "success", "refresh.failed": "failure", "token.rejected": "rejection" };

function take({ number, session: id, event, facts }) {
  const session = sessions.get(id);
  if (session === undefined) return;
  const at = event.at;
  session.facts = facts;
  session.past.push({ at, facts });
  if (MARKS[event.event]) session.marks.push({ at, kind: MARKS[event.event] });
  const oldest = now() - SHOWN - 10_000;
  while (session.past.length > 1 && session.past[1].at < oldest) session.past.shift();
  while (session.marks.length > 0 && session.marks[0].at < oldest) session.marks.shift();
  log(number, id, event);
}

function pulse({ now: at, requests, outages }) {
  setClock(at);
  let [answered, failed] = [0, 0];
  for (const [id, counts] of Object.entries(requests)) {
    if (sessions.has(id)) sessions.get(id).requests = counts;
    answered += counts[0];
    failed += counts[1];
  }
  counted.push({ at, answered, failed });
  while (counted.length > 1 && counted[1].at <= at - 10_000) counted.shift();
  const wrong = Object.entries(outages ?? {}).filter(([, outage]) => outage !== null);
  const told = wrong.map(([name, { text, ends_in }]) => `${name}: ${text}, ${seconds(ends_in * 1000)} more`);
  put($("outage"), `Made to fail now: ${told.join("; ") || "nothing"}`);
}

// ---- words ----

/** A time to come, upwards: "0 s" is over. */
const seconds = (milliseconds) => {
  const left = Math.ceil(Math.max(0, milliseconds) / 1000);
  return left >= 7_200 ? `${Math.ceil(left / 3_600)} h` : left >= 180 ? `${Math.ceil(left / 60)} min` : `${left} s`;
};
/** A span that is over, from seconds. */
const length = (span) => {
  if (span < 1) return `${Math.round(span * 1000)} ms`;
  return span >= 180 ? `${Math.round(span / 60)} min` : `${Math.round(span)} s`;
};
const clock = (at) => new Date(at).toLocaleTimeString("en-GB");
const nameOf = (id) => id.replace("user-", "").replace("-", " ");
const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

/** What a token is good for at an instant. */
function tokenAt(facts, at) {
  if (facts.generation === 0) return "none";
  if (facts.usable_until !== null && at >= facts.usable_until) return "expired";
  if (facts.due_at !== null && at >= facts.due_at) return "expiring";
  return "valid";
}

const isUsable = (facts, at) => ["valid", "expiring"].includes(tokenAt(facts, at));
const NEEDS_HELP = ["login_required", "login_may_help", "misconfigured"];

/** The state in the words of the crate. */
function stateAt(facts, at) {
  if (facts.in_flight) return "refreshing";
  const token = tokenAt(facts, at);
  if (NEEDS_HELP.includes(facts.state) && token !== "valid" && token !== "expiring") return facts.state;
  return token === "none" ? "expired" : token;
}

function plainly(facts, at) {
  const usable = isUsable(facts, at);
  const left = facts.usable_until === null ? "" : ` for ${seconds(facts.usable_until - at)}`;
  if (facts.state === "login_required") return "needs a new login";
  if (facts.failures > 0) {
    return usable ? `cannot refresh; token works${left} more` : "cannot refresh; callers wait or fail";
  }
  if (!usable) return facts.in_flight ? "gets a token; callers wait" : "no token yet";
  const due = facts.due_at === null || facts.due_at < at ? "" : `; refresh in ${seconds(facts.due_at - at)}`;
  return `token works${due}`;
}

const toneOf = (facts, at) => !isUsable(facts, at) ? "bad" : facts.failures > 0 ? "warn" : "ok";

function reason({ error, status, message }) {
  if (error === "unavailable" && status !== null) return `the token endpoint answers ${status}`;
  if (error === "unavailable") return "the token endpoint cannot be reached";
  if (error === "unknown") return "the token endpoint does not answer in time";
  if (error === "declined") return "the authorization server ended the grant: a new login is needed";
  if (error === "misconfigured") return `the authorization server does not accept the client (${status ?? "no status"})`;
  return `${error}: ${message}`;
}

/** What a group of sessions still has of its tokens. */
function leftOf(group, at) {
  const working = group.filter(({ facts }) => isUsable(facts, at));
  const dead = group.length - working.length;
  const ends = working.map(({ facts }) => facts.usable_until).filter((it) => it !== null);
  const [its, works] = group.length === 1 ? ["its token", "works"] : ["their tokens", "work"];
  const span = ends.length > 0 ? ` for ${seconds(Math.min(...ends) - at)}` : "";
  if (dead === 0) return `${its} still ${works}${span}, so callers are served`;
  if (working.length === 0) return `${its} no longer ${works}: callers wait, or get an error`;
  return `${count(dead, "token")} no longer ${dead === 1 ? "works" : "work"}: their callers wait, or get an error; `
    + `${working.length} still ${working.length === 1 ? "works" : "work"}${span}`;
}

function failing(all, at) {
  const groups = new Map();
  for (const session of all) {
    const { error, status } = session.facts;
    const key = JSON.stringify([session.client, error, status]);
    groups.set(key, [...(groups.get(key) ?? []), session]);
  }
  return [...groups.values()].map((group) => {
    const since = Math.min(...group.map(({ facts }) => facts.failing_since));
    const tries = group.map(({ facts }) => facts.in_flight ? at : facts.retry_at ?? at);
    const next = Math.min(...tries) - at;
    const try_ = next > 0 ? `next try in ${seconds(next)}` : "trying now";
    return {
      of: `${group.length} of ${group[0].client}`,
      client: group[0].client,
      fixed: `${reason(group[0].facts)} since ${clock(since)}`,
      moving: `; ${try_}; ${leftOf(group, at)}`,
      dead: group.some(({ facts }) => !isUsable(facts, at)),
    };
  });
}

/** What is wrong, in words: how bad, and a line for each matter; `fixed` does not change with each second. */
function headline(at) {
  const all = [...sessions.values()];
  const bad = all.filter(({ facts }) => facts.failures > 0);
  if (bad.length > 0) {
    const groups = failing(bad, at);
    const first = (of) => `${bad.length} of ${count(all.length, "session")} ${of}cannot refresh`;
    const lines = groups.length === 1
      ? [{ fixed: `${first(`(${groups[0].client}) `)}: ${groups[0].fixed}`, moving: groups[0].moving }]
      : [{ fixed: `${first("")}:`, moving: "" }, ...groups.map(({ of, fixed, moving }) => ({ fixed: `${of}: ${fixed}`, moving }))];
    return { tone: groups.some(({ dead }) => dead) ? "bad" : "warn", lines };
  }
  const rejected = all.filter(({ facts }) => facts.rejected_at !== null && at - facts.rejected_at < RECENT.rejection);
  if (rejected.length > 0) return { tone: "warn", lines: rejections(rejected) };
  const without = all.filter(({ facts }) => !isUsable(facts, at));
  if (without.length > 0) {
    return { tone: "warn", lines: [{ fixed: `${without.length} of ${count(all.length, "session")} have no token yet.`, moving: "" }] };
  }
  const recovered = all.filter(({ facts }) => facts.recovered_at !== null && at - facts.recovered_at < RECENT.recovery);
  if (recovered.length > 0) {
    const last = Math.max(...recovered.map(({ facts }) => facts.recovered_at));
    const longest = Math.max(...recovered.map(({ facts }) => facts.outage));
    const fixed = `All ${count(all.length, "session")} work again since ${clock(last)}: `
      + `${recovered.length} could not refresh for up to ${length(longest)}.`;
    return { tone: "ok", lines: [{ fixed, moving: "" }] };
  }
  return { tone: "ok", lines: [{ fixed: `All ${count(all.length, "session")} work: each has a token, and refreshes succeed.`, moving: "" }] };
}

function rejections(rejected) {
  const kept = rejected.filter(({ facts }) => facts.rejection === "kept");
  const replaced = rejected.filter(({ facts }) => facts.rejection !== "kept");
  const names = (group) => [...new Set(group.map(({ client }) => client))].join(", ");
  const lines = [];
  if (kept.length > 0) {
    lines.push(`The API of ${names(kept)} rejects the tokens of ${count(kept.length, "session")}, too often to replace them each time: callers get the 401.`);
  }
  if (replaced.length > 0) {
    lines.push(`The API of ${names(replaced)} rejected the tokens of ${count(replaced.length, "session")}; they were replaced, and the requests sent again.`);
  }
  return lines.map((fixed) => ({ fixed, moving: "" }));
}

// ---- elements ----

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** The facts of a row: the field, its label, and what it means. */
const FIELDS = [
  ["cause", "last cause", "why the last refresh was needed"],
  ["error", "error kind", "why the last refresh failed (error.type)"],
  ["status", "status", "the HTTP status that the token endpoint answered"],
  ["retry-in", "next try", "when the next refresh may start"],
  ["failures", "failures", "failed refreshes in a row"],
  ["usable-for", "usable for", "how long the token is still handed out"],
  ["budget", "budget", "how many early refreshes are still paid for"],
  ["generation", "token no.", "how many tokens this session has had"],
  ["rejections", "rejections", "how often the API has rejected a token"],
  ["requests", "answered/failed", "requests of this session's callers"],
  ["recovered", "recovered", "when the last outage ended, and how long it took"],
];

function row(id, client) {
  const shown = {};
  const field = (name, element) => {
    element.dataset.field = name;
    shown[name] = element;
    return element;
  };
  const facts = FIELDS.map(([name, label, title]) =>
    make("div", { class: name, title }, make("dt", {}, label), field(name, make("dd"))));
  shown.line = draw("svg", { class: "line", role: "img" });
  const name = nameOf(id);
  const heading = make("h3", { id: `name-${id}` }, id.startsWith(client) ? name : `${name} (${client})`);
  const words = make("div", {}, heading, field("state", make("span", { class: "pill" })), field("plain", make("p", { class: "plain" })));
  const lanes = make("div", { class: "lanes" }, shown.line, make("dl", {}, ...facts));
  const article = make("article", { class: "session", "data-session": id, "data-client": client, "aria-labelledby": `name-${id}` }, words, lanes);
  $("sessions").append(article);
  return shown;
}

// ---- timelines ----

/** The stretches of a session's past: of its token, and of its refreshes. */
function stretches({ past, facts }, from, to) {
  const [token, refresh] = [[], []];
  const add = (stretches, begin, end, kind) => {
    const last = stretches.at(-1);
    // Without a seam where an event has changed nothing.
    if (last !== undefined && last[2] === kind && begin - last[1] < 1) last[1] = end;
    else stretches.push([begin, end, kind]);
  };
  const all = past.length > 0 ? past : [{ at: from, facts }];
  all.forEach(({ at, facts }, index) => {
    const [begin, end] = [Math.max(at, from), Math.min(all[index + 1]?.at ?? to, to)];
    if (end < begin) return;
    const cuts = [facts.due_at, facts.usable_until].filter((it) => it !== null && it > begin && it < end);
    const edges = [begin, ...cuts.sort((a, b) => a - b), end];
    for (let i = 0; i + 1 < edges.length; i += 1) {
      add(token, edges[i], edges[i + 1], `token-${tokenAt(facts, edges[i])}`);
    }
    if (facts.in_flight) add(refresh, begin, end, "refreshing");
    else if (facts.failures > 0 && facts.retry_at > begin) add(refresh, begin, Math.min(end, facts.retry_at), "waiting");
  });
  return { token, refresh };
}

const LABELS = 44;

function timeline(session, at) {
  const { line } = session.shown;
  const width = line.clientWidth;
  if (width === 0) return;
  const from = at - SHOWN;
  const x = (time) => LABELS + (width - LABELS - 4) * Math.max(0, time - from) / SHOWN;
  const parts = ticks(from, at).map((time) => draw("line", { class: "tick", x1: x(time), x2: x(time), y1: 0, y2: 27 }));
  const label = (y, words) => {
    const text = draw("text", { x: 0, y });
    text.textContent = words;
    return text;
  };
  parts.push(label(11, "token"), label(24, "refresh"));
  const { token, refresh } = stretches(session, from, at);
  const bar = (y, height, least) => ([begin, end, kind]) =>
    draw("rect", { class: kind, x: x(begin), y, width: Math.max(least, x(end) - x(begin)), height });
  parts.push(...token.map(bar(2, 12, 0.2)), ...refresh.map(bar(17, 7, 1.5)));
  for (const mark of session.marks.filter((it) => it.at >= from)) parts.push(drawMark(mark.kind, x(mark.at)));
  line.replaceChildren(...parts);
}

function drawMark(kind, x, y = kind === "rejection" ? 8 : 20.5) {
  if (kind === "success") return draw("circle", { class: "mark-success", cx: x, cy: y, r: 4 });
  if (kind === "failure") return draw("path", { class: "mark-failure", d: `M${x - 3.5} ${y - 3.5}l7 7m0 -7l-7 7` });
  return draw("path", { class: "mark-rejection", d: `M${x} ${y - 6}l6 6l-6 6l-6 -6z` });
}

function ticks(from, to) {
  const all = [];
  for (let time = Math.ceil(from / 30_000) * 30_000; time <= to; time += 30_000) all.push(time);
  return all;
}

function axis(at) {
  const svg = $("ticks");
  const [width, from] = [svg.clientWidth, at - SHOWN];
  const texts = ticks(from, at).map((time) => {
    const x = LABELS + (width - LABELS - 4) * (time - from) / SHOWN;
    if (x > width - 80 || x < LABELS + 24) return null;
    const text = draw("text", { x, y: 11, "text-anchor": "middle" });
    text.textContent = clock(time);
    return text;
  });
  const last = draw("text", { x: width - 4, y: 11, "text-anchor": "end" });
  last.textContent = "now";
  svg.replaceChildren(...texts.filter((it) => it !== null), last);
}

function legend() {
  const bar = (kind, words, height = 12) => ({ words, shape: draw("rect", { class: kind, x: 0, y: (14 - height) / 2, width: 18, height }) });
  const mark = (kind, words) => ({ words, shape: drawMark(kind, 9, 7) });
  const entries = [
    bar("token-valid", "token works"),
    bar("token-expiring", "due for refresh"),
    bar("token-expired", "does not work"),
    bar("refreshing", "refresh in flight", 7),
    bar("waiting", "waits for its next try", 7),
    mark("success", "refreshed"),
    mark("failure", "refresh failed"),
    mark("rejection", "token rejected"),
  ];
  $("legend").append(...entries.map(({ words, shape }) => {
    const svg = draw("svg", { width: 18, height: 14, "aria-hidden": "true" });
    svg.append(shape);
    return make("li", {}, svg, words);
  }));
}

// ---- the log ----

function describe(event) {
  const cause = event["perennial.refresh.cause"];
  const took = event["perennial.refresh.duration"];
  const retry = event["perennial.session.retry_in"];
  switch (event.event) {
    case "refresh.started": return `cause: ${cause}`;
    case "refresh.succeeded": {
      const outage = event["perennial.refresh.outage"];
      return `in ${length(took)}${outage === undefined ? "" : `, after an outage of ${length(outage)}`}`;
    }
    case "refresh.failed": {
      const status = event["http.response.status_code"];
      return `${event["error.type"]}${status === undefined ? "" : `, status ${status}`}`
        + `${retry === undefined ? "" : `; next try in ${seconds(retry * 1000)}`}`;
    }
    case "token.rejected": return `token ${event["perennial.token.generation"]}: ${event["perennial.rejection"]}`;
    case "token.recovered": return `token ${event["perennial.token.generation"]} is accepted`;
    case "token.waited": {
      const error = event["error.type"];
      return `a caller, ${length(event["perennial.wait.duration"])}${error === undefined ? "" : `, then: ${error}`}`;
    }
    case "response.rejected":
      return `status ${event["http.response.status_code"]}${event["perennial.request.replayed"] ? ", request is sent again" : ", caller gets it"}`;
    case "request.refused": return event["error.type"];
    default: return "";
  }
}

const CALLERS = ["request.refused", "response.rejected", "token.waited"];

function log(number, id, event) {
  const kind = MARKS[event.event];
  const words = describe(event);
  // What callers meet again and again is one line, with a count.
  const key = CALLERS.includes(event.event) ? JSON.stringify([id, event.event, event["error.type"]]) : "";
  const same = key === "" ? undefined : [...$("log").children].slice(0, 20).find((it) => it.dataset.key === key);
  if (same !== undefined) {
    same.dataset.times = Number(same.dataset.times) + 1;
    put(same.lastElementChild, ` ×${same.dataset.times}`);
    return;
  }
  const item = make("li", { "data-number": number, "data-key": key, "data-times": 1, ...(kind && { class: `of-${kind}` }) },
    make("time", {}, clock(event.at)), make("span", { class: "name" }, `${nameOf(id)} ${event.event}`),
    ` ${words}`, make("span", { class: "times" }));
  $("log").prepend(item);
  while ($("log").childElementCount > LOGGED) $("log").lastElementChild.remove();
}

// ---- drawing ----

function fields({ facts, requests, shown }, at) {
  const tone = toneOf(facts, at);
  put(shown.state, stateAt(facts, at));
  shown.state.className = `pill ${tone}`;
  put(shown.plain, plainly(facts, at));
  const wait = facts.retry_at === null ? 0 : facts.retry_at - at;
  const values = {
    cause: facts.cause ?? "–",
    error: facts.error ?? "–",
    status: facts.status ?? "–",
    "retry-in": facts.failures === 0 ? "–" : wait > 0 ? seconds(wait) : "now",
    failures: facts.failures,
    "usable-for": facts.generation === 0 ? "–" : facts.usable_until === null ? "no limit" : seconds(facts.usable_until - at),
    budget: facts.budget ?? "–",
    generation: facts.generation,
    rejections: facts.rejections,
    requests: `${requests[0]} / ${requests[1]}`,
    recovered: facts.recovered_at === null ? "–" : `${clock(facts.recovered_at)}, after ${length(facts.outage)}`,
  };
  for (const [name, value] of Object.entries(values)) put(shown[name], String(value));
  for (const name of ["error", "status", "failures"]) shown[name].className = facts.failures > 0 ? "hot" : "";
  shown["usable-for"].className = facts.generation > 0 && !isUsable(facts, at) ? "hot" : "";
  shown.line.setAttribute("aria-label", `The last ${SHOWN / 60_000} minutes: ${plainly(facts, at)}`);
}

function show() {
  if (sessions.size === 0) return;
  const at = now();
  const { tone, lines } = headline(at);
  const box = $("headline");
  box.className = tone;
  while (box.childElementCount < lines.length) box.append(make("p"));
  while (box.childElementCount > lines.length) box.lastElementChild.remove();
  lines.forEach(({ fixed, moving }, index) => put(box.children[index], fixed + moving));
  // What a screen reader says: not each second again.
  put($("announcement"), lines.map(({ fixed }) => fixed).join(" "));
  for (const session of sessions.values()) {
    fields(session, at);
    timeline(session, at);
  }
  axis(at);
  const [first, last] = [counted[0], counted.at(-1)];
  put($("callers"), `Callers’ requests in the last 10 s: ${last.answered - first.answered} answered, ${last.failed - first.failed} failed`);
}

// ---- the stream ----

function listen() {
  const stream = new EventSource("/events");
  const on = (name, handle) => stream.addEventListener(name, ({ data }) => handle(JSON.parse(data)));
  on("snapshot", (snapshot) => {
    begin(snapshot);
    put($("connection"), "connected");
    $("connection").dataset.open = "yes";
    show();
  });
  on("happened", take);
  on("pulse", pulse);
  stream.addEventListener("error", () => {
    put($("connection"), "not connected: what is shown is old; connecting again");
    $("connection").dataset.open = "no";
    // The browser tries again by itself, but not after an HTTP error.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 1_000);
  });
}

for (const button of document.querySelectorAll("button[data-order]")) {
  button.addEventListener("click", () => fetch(`/outage?${button.dataset.order}`, { method: "POST" }));
}
legend();
listen();
setInterval(show, 250);
