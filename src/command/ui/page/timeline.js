// How many certificates are renewed and expire in each week of the next year.

import { digits, make, now, number } from "./show.js";

export const WEEK = 7 * 86400;
const WEEKS = 53;
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });
const MONTH = new Intl.DateTimeFormat("en", { month: "short" });

// The week of a time, counted from today; what is overdue is in the first.
export function week(seconds) {
  if (seconds === null) return null;
  const number = Math.max(0, Math.floor((seconds - today()) / WEEK));
  return number < WEEKS ? number : null;
}

export function begin(number) {
  return DAY.format((today() + number * WEEK) * 1000);
}

export class Timeline {
  constructor(section, choose) {
    this.said = section.querySelector(".said");
    this.months = section.querySelector(".months");
    const bar = (number) => make("button", { type: "button", tabIndex: number ? -1 : 0, onclick: () => choose(number) },
      make("span", { className: "renewals" }), make("span", { className: "expiries" }));
    this.bars = Array.from({ length: WEEKS }, (_, number) => bar(number));
    const weeks = section.querySelector(".weeks");
    weeks.append(...this.bars);
    weeks.addEventListener("keydown", (event) => this.move(event));
    weeks.addEventListener("focusin", (event) => this.say(event.target.closest("button")));
    weeks.addEventListener("mouseover", (event) => this.say(event.target.closest("button")));
    weeks.addEventListener("mouseleave", () => this.say(null));
  }

  show(certificates, chosen) {
    const counts = this.bars.map(() => ({ renewals: 0, expiries: 0 }));
    for (const { renewal, notAfter } of certificates) {
      const [renewed, expires] = [week(renewal), week(notAfter)];
      if (renewed !== null) counts[renewed].renewals += 1;
      if (expires !== null) counts[expires].expiries += 1;
    }
    const most = Math.max(1, ...counts.flatMap((count) => [count.renewals, count.expiries]));
    this.bars.forEach((bar, index) => {
      const { renewals, expiries } = counts[index];
      bar.setAttribute("aria-label",
        `Week from ${begin(index)}: ${number(renewals, "renewal")}, ${number(expiries, "expiry", "expiries")}`);
      bar.setAttribute("aria-pressed", String(index === chosen));
      bar.children[0].style.height = `${(renewals / most) * 100}%`;
      bar.children[1].style.height = `${(expiries / most) * 100}%`;
    });
    this.most = most;
    this.say(this.bars.includes(document.activeElement) ? document.activeElement : null);
    this.name();
  }

  // The names of the months, below the week in which each begins.
  name() {
    const names = this.bars.map((_, index) => {
      const [from, to] = [index, index + 1].map((week) => new Date((today() + week * WEEK) * 1000));
      // There is no room for a name at the end.
      return from.getMonth() === to.getMonth() || index > WEEKS - 4 ? "" : MONTH.format(to);
    });
    if (this.names?.join() === names.join()) return;
    this.names = names;
    this.months.replaceChildren(...names.map((name) => make("span", null, name)));
  }

  say(bar) {
    const most = this.most ? `at most ${digits(this.most)} a week` : "";
    this.said.textContent = bar ? bar.getAttribute("aria-label") : most;
  }

  move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -WEEKS, End: WEEKS }[event.key];
    if (!step) return;
    event.preventDefault();
    const from = this.bars.indexOf(document.activeElement);
    const to = this.bars[Math.min(WEEKS - 1, Math.max(0, from + step))];
    this.bars.forEach((bar) => (bar.tabIndex = bar === to ? 0 : -1));
    to.focus();
  }
}

let midnight = { asked: 0, seconds: 0 };

// The beginning of today. It is asked for each Certificate.
function today() {
  const asked = Math.floor(now());
  if (asked !== midnight.asked) midnight = { asked, seconds: Math.floor(new Date().setHours(0, 0, 0, 0) / 1000) };
  return midnight.seconds;
}
