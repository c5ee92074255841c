// The sections of the page: problems, issuers, Certificates, and one object in detail.

import { away, digits, fill, keep, make, named, next, now, number, prose, state, time } from "./show.js";

const QUARTER = 15 * 60;
const PROBLEMS = 30;
const WEEK = 7 * 86400;

// Whether someone should look at it: what fails or waits, and what has been in progress for long.
export function isProblem(row) {
  const lasts = now() - (row.since ?? now()) > QUARTER;
  return ["failing", "waiting", "unreadable", "unserved"].includes(row.state) || (["working", "unseen"].includes(row.state) && lasts);
}

// Whether it has expired, or should have been renewed an hour ago.
export function isOverdue(row) {
  return (row.notAfter ?? Infinity) < now() || (row.renewal ?? Infinity) < now() - 3600;
}

const RANKS = { failing: 0, waiting: 0, unreadable: 0, unserved: 0, unseen: 1, working: 2, ready: 3 };

// The order in which Certificates need attention: trouble first, then those that have no valid certificate, then the next to expire.
export function urgency(one, other) {
  return RANKS[one.state] - RANKS[other.state] || one.ready - other.ready || ends(one) - ends(other)
    || (one.key < other.key ? -1 : 1);
}

const ends = (row) => row.notAfter ?? 0;

// What hangs on each issuer, or on each CA.
export function reach(certificates, groupOf) {
  const groups = new Map();
  for (const row of certificates) {
    const key = groupOf(row);
    let group = groups.get(key);
    if (!group) {
      group = { count: 0, troubled: 0, working: 0, names: 0, namespaces: new Set(), fallback: 0, soon: 0, renewal: null, expiry: null };
      groups.set(key, group);
    }
    group.count += 1;
    group.troubled += isProblem(row);
    group.working += row.state === "working";
    group.names += row.names.length + row.moreNames;
    group.namespaces.add(row.namespace);
    group.fallback += row.fallback;
    group.soon += row.renewal !== null && row.renewal < now() + WEEK;
    group.renewal = earlier(group.renewal, row.renewal);
    group.expiry = earlier(group.expiry, row.notAfter);
  }
  return groups;
}

const earlier = (one, other) => (one === null || (other !== null && other < one) ? other : one);

// What happens if an issuer or a CA stops.
function blast(group) {
  if (!group) return ["No Certificate uses it."];
  const size = `${number(group.count, "Certificate")} for ${number(group.names, "name")} in ${number(group.namespaces.size, "namespace")}`;
  const fallback = group.fallback ? `, ${digits(group.fallback)} with a fallback issuer` : "";
  const parts = [`${size} depend on it${fallback}.`];
  if (group.renewal !== null) parts.push(" Next renewal: ", time(group.renewal), ".");
  if (group.expiry !== null) parts.push(" First expiry: ", time(group.expiry), ".");
  return parts;
}

// Problems, those with the same cause together.
export function problems(section, rows, page) {
  const groups = new Map();
  for (const row of rows.filter(isProblem)) {
    const key = [row.kind, row.issuer ?? row.key, row.state, row.reason].join(" ");
    if (!groups.has(key)) groups.set(key, { key, rows: [] });
    groups.get(key).rows.push(row);
  }
  const sorted = [...groups.values()];
  for (const group of sorted) group.rows.sort(urgency);
  sorted.sort((one, other) => weight(other) - weight(one) || urgency(one.rows[0], other.rows[0]));
  const none = section.querySelector(".none");
  none.hidden = sorted.length > 0;
  none.textContent = page.isChosen() ? "No problems in this selection." : "Nothing fails, and nothing waits for you.";
  keep(section.querySelector(".cards"), sorted.slice(0, page.limits.problems), (group) => group.key,
    () => make("article", null), (card, group) => problem(card, group, page));
  more(section, sorted.length, page, "problems", PROBLEMS);
}

// Issuers come first, since Certificates wait for them.
const weight = (group) => (group.rows[0].kind === "issuer" ? 1e6 : 0) + group.rows.filter((row) => !row.ready).length;

function problem(card, { rows }, page) {
  const [first] = rows;
  const since = rows.reduce((since, row) => earlier(since, row.since), null);
  const { reason, issuer } = first;
  const of = first.kind === "issuer" ? named(first.key) : `${number(rows.length, "Certificate")} of ${named(issuer)}`;
  const show = () => page.filter({ reason: reason ?? "", state: first.state, of: issuer });
  const objects = rows.slice(0, 5).map((row) => make("li", null, link(row, page), valid(row)));
  if (rows.length > 5) {
    objects.push(make("li", null, make("button", { type: "button", className: "link", onclick: show }, `all ${digits(rows.length)}`)));
  }
  const reached = first.kind === "issuer" ? make("p", { className: "reach" }, ...blast(page.byIssuer.get(first.key))) : null;
  card.className = first.state;
  fill(card,
    make("h3", null, state(first.state, first.ready), " ", make("code", null, reason ?? ""), ` ${of}`),
    make("p", { className: "since" }, ...(since === null ? [] : ["began ", time(since), "; "]), "next: ", ...next(first)),
    first.message ? make("blockquote", null, first.message) : null,
    todo(first, page),
    reached,
    make("ul", { className: "objects" }, ...objects));
}

// What to do about a problem, unless the message says it.
function todo(row, page) {
  const text = page.handbook[row.kind]?.[row.reason];
  if (!text || row.message?.includes(text.slice(0, 30))) return null;
  return make("p", { className: "todo" }, make("b", null, "What to do: "), ...prose(text));
}

function valid(row) {
  if (row.kind !== "certificate") return "";
  if (row.notAfter === null) return " has no certificate";
  return ` ${row.notAfter < now() ? "expired" : "expires"} ${away(row.notAfter)}`;
}

// A button with the name of an object, which opens it. It finds the object by its key: the row may have changed since.
function link(row, page) {
  const name = row.namespace && page.about.namespace === null ? `${row.namespace}/${row.name}` : row.name;
  return make("button", { type: "button", className: "link", onclick: () => page.open(row.key) }, name);
}

const cell = (label, ...children) => make("td", { role: "cell", "data-label": label }, ...children);

export function issuers(section, rows, page) {
  const head = page.byCa ? ["CA", "Issuers", "Accounts"] : ["Issuer", "State", "CA"];
  heads(section, [...head, "Certificates", "Problems", "Renewals in 7 days", "First expiry"]);
  const shown = page.byCa ? cas(rows) : rows.map((row) => ({ key: row.key, rows: [row] }));
  const troubled = (one) => one.rows.some((row) => row.state !== "ready");
  const size = (one) => page.groups.get(one.key)?.count ?? 0;
  shown.sort((one, other) => troubled(other) - troubled(one) || size(other) - size(one) || (one.key < other.key ? -1 : 1));
  section.querySelector(".none").hidden = shown.length > 0;
  keep(section.querySelector("tbody"), shown.slice(0, page.limits.issuers), (one) => one.key,
    () => make("tr", { role: "row" }), (tr, one) => issuer(tr, one, page));
  more(section, shown.length, page, "issuers", 20);
}

function cas(rows) {
  const cas = new Map();
  for (const row of rows) {
    const key = `ca:${row.ca}`;
    if (!cas.has(key)) cas.set(key, { key, rows: [] });
    cas.get(key).rows.push(row);
  }
  return [...cas.values()];
}

function issuer(tr, { key, rows }, page) {
  const group = page.groups.get(key);
  const [first] = rows;
  const show = () => page.filter({ of: key });
  const name = make("th", { role: "rowheader", scope: "row" });
  const cells = [name];
  if (page.byCa) {
    name.append(make("button", { type: "button", className: "link", onclick: show }, first.ca));
    const ready = rows.filter((row) => row.state === "ready").length;
    cells.push(cell("Issuers", ready === rows.length ? String(ready) : `${ready} of ${rows.length} ready`));
    cells.push(cell("Accounts", String(new Set(rows.map((row) => row.account).filter(Boolean)).size)));
  } else {
    name.append(make("small", null, first.called === "ClusterIssuer" ? "cluster " : ""), link(first, page));
    cells.push(cell("State", state(first.state, first.ready)), cell("CA", first.ca));
  }
  const count = (value) => (value ? digits(value) : "–");
  const certificates = group ? make("button", { type: "button", className: "link", onclick: show }, count(group.count)) : "–";
  cells.push(cell("Certificates", certificates),
    cell("Problems", make("span", { className: group?.troubled ? "bad" : "" }, count(group?.troubled))),
    cell("Renewals in 7 days", count(group?.soon)), cell("First expiry", time(group?.expiry ?? null)));
  fill(tr, ...cells);
}

const COLUMNS = [
  ["State", (one, other) => urgency(one, other)],
  ["Name", (one, other) => (one.key < other.key ? -1 : 1)],
  ["DNS names", (one, other) => ((one.names[0] ?? "") < (other.names[0] ?? "") ? -1 : 1)],
  ["Issuer", (one, other) => (one.issuer < other.issuer ? -1 : 1)],
  ["Expires", (one, other) => ends(one) - ends(other)],
  ["Next", (one, other) => (one.nextAt ?? 0) - (other.nextAt ?? 0)],
];

export function certificates(section, rows, page) {
  heads(section, COLUMNS.map(([name]) => name), page);
  const { column, down } = page.order;
  rows.sort((one, other) => COLUMNS[column][1](one, other) * (down ? -1 : 1));
  section.querySelector(".count").textContent = page.count(rows.length);
  keep(section.querySelector("tbody"), rows.slice(0, page.limits.certificates), (row) => row.key,
    () => make("tr", { role: "row" }), (tr, row) => certificate(tr, row, page));
  more(section, rows.length, page, "certificates", 100);
}

function certificate(tr, row, page) {
  const names = [row.names.slice(0, 2).join(", ")];
  const others = row.names.length + row.moreNames - 2;
  if (others > 0) names.push(` and ${others} more`);
  const reason = row.reason ? [" ", make("code", null, row.reason)] : [];
  fill(tr,
    cell("State", state(row.state, row.ready), ...reason),
    make("th", { role: "rowheader", scope: "row" }, link(row, page)),
    cell("DNS names", ...names),
    cell("Issuer", row.issuer.replace(/^\w+\/(.*\/)?/, "")),
    cell("Expires", make("span", { className: (row.notAfter ?? Infinity) < now() ? "bad" : "" }, time(row.notAfter))),
    cell("Next", ...brief(row)));
}

// The beginning of what is next, for a column.
function brief(row) {
  const [begin] = row.next.split(/[;,:]/);
  return row.nextAt === null ? [make("span", { title: row.next }, begin)] : next(row);
}

// The head of a table; with `page`, its columns sort.
function heads(section, names, page) {
  const cells = names.map((name, index) => {
    if (!page) return make("th", { role: "columnheader", scope: "col" }, name);
    const sorted = page.order.column !== index ? "none" : page.order.down ? "descending" : "ascending";
    const sort = make("button", { type: "button", onclick: () => page.sort(index) }, name);
    return make("th", { role: "columnheader", scope: "col", "aria-sort": sorted }, sort);
  });
  const head = section.querySelector("thead");
  const row = head.firstElementChild ?? head.appendChild(make("tr", { role: "row" }));
  if (row.children.length === cells.length && page) {
    cells.forEach((cell, index) => row.children[index].setAttribute("aria-sort", cell.getAttribute("aria-sort")));
  } else fill(row, ...cells);
}

function more(section, count, page, which, step) {
  const button = section.querySelector(".more");
  const left = count - page.limits[which];
  button.hidden = left <= 0;
  button.textContent = `Show ${digits(Math.min(step, left))} more of ${digits(left)}`;
  button.onclick = () => page.extend(which, step);
}

// One object in detail.
export function details(element, row, page) {
  const fact = (name, ...value) => make("div", null, make("dt", null, name), make("dd", null, ...value));
  const facts = [];
  if (row.kind === "certificate") {
    const more = row.moreNames ? ` and ${row.moreNames} more` : "";
    facts.push(fact("Names", row.names.join(", ") + more));
    facts.push(fact("Issuer", make("button", { type: "button", className: "link", onclick: () => page.open(row.issuer) }, named(row.issuer))));
    facts.push(fact("Secret", row.secret), fact("Expires", time(row.notAfter)), fact("Renewal", time(row.renewal)));
  } else {
    facts.push(fact("Server", row.server), fact("Account", row.account ?? "–"), fact("If it stops", ...blast(page.byIssuer.get(row.key))));
  }
  const problem = row.message && row.state !== "ready" ? [make("blockquote", null, row.message)] : [];
  if (isProblem(row)) problem.push(todo(row, page) ?? "");
  fill(element,
    make("h2", { id: "details-title" }, named(row.key)),
    make("p", null, state(row.state, row.ready), " ", row.reason ? make("code", null, row.reason) : "",
      ...(row.since === null ? [] : [", began ", time(row.since)])),
    ...problem,
    make("p", null, "Next: ", ...next(row)),
    make("dl", null, ...facts));
}
