// How things are shown. Text of objects becomes text, never markup.

// An element with properties and children; what is `null` is left out.
export function make(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined) continue;
    if (key in element && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Makes `parent` contain an element for each item. Elements of items that stay are kept, so that the focus stays in them.
export function keep(parent, items, key, create, update) {
  const wanted = new Set(items.map(key));
  const there = new Map();
  for (const element of [...parent.children]) {
    if (wanted.has(element.dataset.key)) there.set(element.dataset.key, element);
    else element.remove();
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    let element = there.get(key(item));
    if (!element) {
      element = create(item);
      element.dataset.key = key(item);
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
    update(element, item);
  }
}

// Sets the children of an element, unless they would be the same.
export function fill(element, ...children) {
  const next = make("div", null, ...children).childNodes;
  const [before, after] = [[...element.childNodes], [...next]];
  const same = before.length === after.length && before.every((node, index) => node.isEqualNode(after[index]));
  if (!same) element.replaceChildren(...after);
}

export const now = () => Date.now() / 1000;

const UNITS = [["year", 31557600], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { style: "narrow" });
const DATE = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

// How far away a time is.
export function away(seconds) {
  const distance = seconds - now();
  // Years are too coarse for what expires.
  const [unit, length] = UNITS.slice(1).find(([, length]) => Math.abs(distance) >= length) ?? UNITS[4];
  return RELATIVE.format(Math.trunc(distance / length), unit);
}

export function time(seconds) {
  if (seconds === null) return "–";
  const date = new Date(seconds * 1000);
  return make("time", { dateTime: date.toISOString(), title: DATE.format(date) }, away(seconds));
}

const DIGITS = new Intl.NumberFormat("en");
export const digits = (count) => DIGITS.format(count);

export function number(count, one, many = `${one}s`) {
  return `${digits(count)} ${count === 1 ? one : many}`;
}

const WORDS = {
  failing: ["✕", "Failing"],
  waiting: ["‖", "Waiting"],
  working: ["↻", "Issuing"],
  ready: ["✓", "Ready"],
  unseen: ["?", "Not processed"],
  unreadable: ["!", "Unreadable"],
  unserved: ["≠", "Not served"],
};

export function state(of, ready) {
  const [sign, word] = WORDS[of];
  const shown = of === "working" && ready ? "Renewing" : word;
  return make("span", { className: `state ${of}` }, make("span", { "aria-hidden": "true" }, sign), ` ${shown}`);
}

// Text in which commands are between backticks.
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", null, part) : part));
}

// The name of an object, from its key.
export function named(key) {
  const [kind, ...path] = key.split("/");
  const called = { certificate: "Certificate", issuer: "Issuer", clusterissuer: "ClusterIssuer" }[kind];
  return `${called} ${path.join("/")}`;
}

export function next(row) {
  return row.nextAt === null ? [row.next] : [`${row.next} `, time(row.nextAt)];
}
