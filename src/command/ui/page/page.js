// What is shown, which part of it is chosen, and what happens on input.

import { answer, ask, follow } from "./live.js";
import { certificates, details, isOverdue, isProblem, issuers, problems, reach } from "./sections.js";
import { digits, fill, make, named, number } from "./show.js";
import { Timeline, begin, week } from "./timeline.js";

const SECOND = 1000;
const LONG_PRESS = 10 * SECOND;
const element = (id) => document.getElementById(id);
const NOTHING = { text: "", namespace: "", of: "", state: "", reason: "", week: null };
const LIMITS = { problems: 30, issuers: 20, certificates: 100 };
const STATES = [
  ["", "All", () => true],
  ["failing", "Failing", (row) => row.state === "failing"],
  ["unserved", "Not served", (row) => row.state === "unserved"],
  ["waiting", "Waiting", (row) => row.state === "waiting"],
  ["working", "In progress", (row) => row.state === "working"],
  ["overdue", "Overdue", isOverdue],
  ["ready", "Ready", (row) => row.state === "ready"],
  ["unseen", "Not processed", (row) => row.state === "unseen"],
  ["unreadable", "Unreadable", (row) => row.state === "unreadable"],
];

let rows = new Map();
let filters = { ...NOTHING };
let opened = null;
let scheduled = false;
let isPressed = false;
let release = null;
let isLost = false;

// What the sections need.
const page = {
  about: { namespace: null, actions: false },
  handbook: {},
  limits: { ...LIMITS },
  order: { column: 0, down: false },
  byCa: false,
  byIssuer: new Map(),
  groups: new Map(),
  open,
  filter: (change) => choose({ ...NOTHING, ...change }),
  sort(column) {
    this.order = { column, down: this.order.column === column && !this.order.down };
    schedule();
  },
  extend(which, step) {
    this.limits[which] += step;
    schedule();
  },
  isChosen: () => chosen(),
  count: (shown) => `${number(shown, "Certificate")}${chosen() ? " match" : ""}`,
};

const timeline = new Timeline(element("timeline"), (number) => choose({ week: filters.week === number ? null : number }));

function choose(change) {
  filters = { ...filters, ...change };
  page.limits = { ...LIMITS };
  element("text").value = filters.text;
  show();
}

const chosen = () => Object.keys(NOTHING).some((key) => filters[key] !== NOTHING[key]);

// The CA of an issuer, by its key.
const caOf = (issuer) => `ca:${rows.get(issuer)?.ca ?? "unknown"}`;

function isInWeek({ renewal = null, notAfter = null }) {
  return filters.week === null || week(renewal) === filters.week || week(notAfter) === filters.week;
}

// Whether a row is chosen by all filters but `except`.
function matches(row, except) {
  if (filters.namespace && row.namespace !== filters.namespace) return false;
  const issuer = row.issuer ?? row.key;
  if (filters.of && issuer !== filters.of && caOf(issuer) !== filters.of) return false;
  if (filters.reason && row.reason !== filters.reason) return false;
  if (except !== "week" && !isInWeek(row)) return false;
  if (except !== "state" && filters.state && !STATES.find(([state]) => state === filters.state)[2](row)) return false;
  return !filters.text || filters.text.toLowerCase().split(/\s+/).every((word) => row.words.includes(word));
}

function show() {
  scheduled = false;
  const all = [...rows.values()];
  const kind = (kind) => all.filter((row) => row.kind === kind);
  const [everyCertificate, everyIssuer] = [kind("certificate"), kind("issuer")];
  const shown = everyCertificate.filter((row) => matches(row));
  page.byIssuer = reach(everyCertificate, (row) => row.issuer);
  page.groups = page.byCa ? reach(everyCertificate, (row) => caOf(row.issuer)) : page.byIssuer;
  const used = new Set(shown.map((row) => row.issuer));
  const someIssuers = everyIssuer.filter((row) => (chosen() ? used.has(row.key) || matches(row) : true));
  options(everyCertificate, everyIssuer);
  chips();
  summary(everyCertificate.filter((row) => matches(row, "state")));
  faults(kind("watch"));
  problems(element("problems"), [...someIssuers, ...shown], page);
  timeline.show(everyCertificate.filter((row) => matches(row, "week")), filters.week);
  issuers(element("issuers"), someIssuers, page);
  certificates(element("certificates"), shown, page);
  if (opened) showOpened();
  announce(everyCertificate, everyIssuer);
}

// Shows changes, many at once.
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(showScheduled);
}

// A press and a release are a click only if both are on the same element, so nothing is replaced in between.
function showScheduled() {
  if (scheduled && !isPressed) show();
}

// Browsers do not tell of every release, such as that on a list of options.
function press(is) {
  isPressed = is;
  clearTimeout(release);
  release = is ? setTimeout(press, LONG_PRESS, false) : null;
  requestAnimationFrame(showScheduled);
}

function summary(certificates) {
  const tiles = STATES.map(([state, name, is]) => ({ state, name, count: certificates.filter(is).length }));
  const tile = ({ state, name, count }) => make("button", {
    type: "button", className: `tile ${state}`, "aria-pressed": String(filters.state === state),
    onclick: () => choose({ state: filters.state === state ? "" : state }),
  }, make("b", null, digits(count)), ` ${name}`);
  const rare = ["unseen", "unreadable", "unserved", "overdue"];
  fillKeepingFocus(element("summary"), tiles.filter(({ state, count }) => count || !rare.includes(state)).map(tile));
}

// The element that replaces the one with the focus gets it.
function fillKeepingFocus(parent, children) {
  const index = [...parent.children].indexOf(document.activeElement);
  fill(parent, ...children);
  if (index >= 0) parent.children[index]?.focus();
}

function options(certificates, issuers) {
  const set = (select, first, groups) => {
    const option = ([value, name]) => make("option", { value }, name);
    const grouped = groups.map(([label, values]) => make("optgroup", { label }, ...values.map(option)));
    fill(select, option(["", first]), ...grouped);
  };
  const sorted = (values) => [...new Set(values)].filter(Boolean).sort();
  const namespaces = sorted([...certificates, ...issuers].map((row) => row.namespace));
  set(element("namespace"), "all", [["Namespaces", namespaces.map((name) => [name, name])]]);
  element("namespace").parentElement.hidden = page.about.namespace !== null;
  const keys = sorted([...issuers.map((row) => row.key), ...certificates.map((row) => row.issuer)]);
  const cas = sorted(issuers.map((row) => row.ca));
  set(element("of"), "all", [["CAs", cas.map((ca) => [`ca:${ca}`, ca])], ["Issuers", keys.map((key) => [key, named(key)])]]);
  element("namespace").value = filters.namespace;
  element("of").value = filters.of;
}

// What is chosen by other means than the form.
function chips() {
  const chip = (text, without) => make("button", { type: "button", className: "chip", onclick: () => choose(without) },
    text, make("span", { "aria-label": "remove" }, " ×"));
  const shown = [];
  if (filters.reason) shown.push(chip(`reason ${filters.reason}`, { reason: "" }));
  if (filters.week !== null) shown.push(chip(`week from ${begin(filters.week)}`, { week: null }));
  fill(element("chips"), ...shown);
}

function faults(watches) {
  const forbidden = watches.filter((watch) => watch.forbidden).map((watch) =>
    make("p", { className: "note" }, `You may not read ${watch.name}: `, watch.fault));
  const failing = watches.filter((watch) => watch.fault && !watch.forbidden).map((watch) =>
    make("p", null, make("b", null, `${watch.name} cannot be ${watch.listed ? "watched, and may have changed" : "read"}: `), watch.fault));
  const lost = make("p", null, make("b", null, "certwright ui does not answer. "), "What is shown may have changed. Is it still running?");
  fill(element("faults"), ...(isLost ? [lost] : [...failing, ...forbidden]));
  const isLoading = watches.some((watch) => !watch.listed && !watch.fault);
  const live = isLost ? "Disconnected" : failing.length ? "Not up to date" : isLoading || !watches.length ? "Loading" : "Live";
  element("live").className = live === "Live" ? "good" : "";
  if (element("live").textContent !== live) element("live").textContent = live;
}

// For screen readers: only when the number of problems changes.
function announce(certificates, issuers) {
  const count = (rows) => rows.filter(isProblem).length;
  const text = `${number(count(certificates), "Certificate")} and ${number(count(issuers), "issuer")} with problems`;
  if (element("announced").textContent !== text) element("announced").textContent = text;
  const problems = count(certificates) + count(issuers);
  document.title = problems ? `(${problems}) Certwright` : "Certwright";
}

function open(key) {
  opened = key;
  const parts = make("div", { className: "facts" });
  const outcome = make("p", { className: "outcome", role: "status" });
  const screen = make("pre", { tabIndex: 0, "aria-label": "certwright status" }, "…");
  const actions = page.about.actions ? make("button", { type: "button", className: "action", onclick: () => act(key, outcome) },
    key.startsWith("certificate/") ? "Renew now" : "Retry now") : null;
  const close = make("button", { type: "button", className: "close", "aria-label": "Close", onclick: () => element("details").close() }, "×");
  element("details").replaceChildren(close, parts, make("p", { className: "actions" }, actions ?? ""), outcome,
    make("h3", null, "certwright status"), screen);
  showOpened();
  read(key, screen);
  if (!element("details").open) element("details").showModal();
}

function showOpened() {
  const [row, parts] = [rows.get(opened), element("details").querySelector(".facts")];
  if (!row) fill(parts, make("h2", { id: "details-title" }, named(opened)), make("p", null, "This object does not exist, or cannot be read."));
  else details(parts, row, page);
}

async function read(key, screen) {
  try {
    screen.textContent = await (await answer(`status/${key}`)).text();
  } catch (error) {
    screen.textContent = error.message;
  }
}

async function act(key, outcome) {
  outcome.textContent = "…";
  const response = await ask(`request/${key}`, { method: "POST" }).catch((error) => error);
  outcome.textContent = response.ok ? "Requested." : `Failed: ${response.message ?? (await response.text())}`;
}

element("details").addEventListener("close", () => (opened = null));
element("details").addEventListener("click", (event) => event.target === element("details") && element("details").close());
element("filters").addEventListener("input", () => choose({
  text: element("text").value, namespace: element("namespace").value, of: element("of").value,
}));
element("filters").addEventListener("submit", (event) => event.preventDefault());
element("filters").addEventListener("reset", () => page.filter({}));
element("by-ca").addEventListener("click", () => group(true));
element("by-issuer").addEventListener("click", () => group(false));

function group(byCa) {
  page.byCa = byCa;
  element("by-ca").setAttribute("aria-pressed", String(byCa));
  element("by-issuer").setAttribute("aria-pressed", String(!byCa));
  schedule();
}

addEventListener("pointerdown", () => press(true));
for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, () => press(false));

addEventListener("keydown", (event) => {
  const types = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !types && !opened) {
    event.preventDefault();
    element("text").focus();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = event.target.closest?.("tbody tr");
  if (!step || !row) return;
  event.preventDefault();
  (step > 0 ? row.nextElementSibling : row.previousElementSibling)?.querySelector("button.link")?.focus();
});

// Times go on without changes.
setInterval(schedule, 10 * SECOND);

function change({ reset, rows: changed, gone }) {
  const next = reset ? new Map() : rows;
  for (const row of changed) {
    row.words = [row.key, ...(row.names ?? []), row.reason, row.message, row.secret, row.issuer, row.server].join(" ").toLowerCase();
    next.set(row.key, row);
  }
  gone.forEach((key) => next.delete(key));
  rows = next;
  const before = isLost;
  isLost = false;
  if (before || reset || changed.length || gone.length) schedule();
}

function lost() {
  isLost = true;
  schedule();
}

try {
  const [about, handbook] = await Promise.all(["about", "handbook"].map(async (path) => (await answer(path)).json()));
  Object.assign(page, { about, handbook });
  const shown = about.namespace === null ? "all namespaces" : `namespace ${about.namespace}`;
  element("place").textContent = about.context ? `${shown} of ${about.context}` : shown;
  throw new Error(await follow(change, lost));
} catch (error) {
  element("live").textContent = "Not connected";
  fill(element("faults"), make("p", null, error.message));
}
