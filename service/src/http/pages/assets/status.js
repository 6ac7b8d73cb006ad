// Asks /v1/status every second and shows it. What events and catalogs say is put into the page as text.

const PAUSE_MS = 1000;
const KEY = "tallybook-token";

const find = (id) => document.getElementById(id);

/** Shows what would do something instead of being shown, as the service does. */
function printable(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) =>
    ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[character] ?? `\\u{${character.codePointAt(0).toString(16)}}`);
}

/** The value at a path of names. */
function at(value, path) {
  return path.split(".").reduce((inner, name) => inner?.[name], value);
}

/** Commas before every third digit of the whole part: numbers are texts, and keep all their digits. */
function grouped(text) {
  const [whole, ...rest] = text.split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...rest].join(".");
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 35.2 GiB: a decimal, rounded down. */
function bytes(count) {
  let [unit, size] = [0, 1];
  while (count / size >= 1024 && unit + 1 < BYTE_UNITS.length) [unit, size] = [unit + 1, size * 1024];
  const tenth = unit ? `.${Math.floor(((count % size) * 10) / size)}` : "";
  return `${Math.floor(count / size)}${tenth} ${BYTE_UNITS[unit]}`;
}

/** 4.1 s ago, 12 min ago: rounded down. */
function age(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds}.${Math.floor((milliseconds % 1000) / 100)} s ago`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`;
}

/** A value as the service writes it into the page. */
function cell(value, kind) {
  const text = value === null || value === undefined ? "" : String(value);
  switch (kind) {
    case "number": return grouped(text);
    case "bytes": return text && bytes(value);
    case "age": return text && age(value);
    case "time": return text.replace("T", " ").slice(0, 19);
    case "truth": return value === true ? "yes" : "";
    case "money": return (value ?? []).map(({ amount, currency }) => `${grouped(amount)} ${currency}`).join(", ");
    case "group": return Object.entries(value ?? {}).map(([name, member]) => `${name}=${member ?? ""}`).join(", ");
    default: return text;
  }
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showRows(body, rows) {
  const columns = [...body.closest("table").querySelectorAll("th")].map((head) => head.dataset);
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, position) => {
    const line = body.rows[position] ?? body.insertRow();
    columns.forEach(({ column, kind }, place) => {
      const field = line.cells[place] ?? line.insertCell();
      field.dataset.kind = kind;
      put(field, printable(cell(at(row, column), kind)));
    });
  });
  body.closest("section").querySelector(".none").hidden = rows.length > 0;
}

function showBars(counts) {
  const highest = Math.max(1, ...counts);
  const bars = find("bars");
  while (bars.childElementCount < counts.length) {
    const bar = document.createElementNS(bars.namespaceURI, "rect");
    bar.setAttribute("x", bars.childElementCount);
    bar.setAttribute("width", ".7");
    bars.append(bar);
  }
  [...bars.children].forEach((bar, position) => {
    const height = (Math.max(0, counts[position] ?? 0) * 100) / highest;
    bar.setAttribute("y", 100 - height);
    bar.setAttribute("height", height);
  });
}

function show(status) {
  for (const element of document.querySelectorAll("[data-value]")) {
    put(element, printable(cell(at(status, element.dataset.value), element.dataset.kind)));
  }
  for (const body of document.querySelectorAll("[data-rows]")) showRows(body, status[body.dataset.rows] ?? []);
  showBars(status.events_by_second);
  find("state").className = `pill ${status.state === "taking" ? "good" : "bad"}`;
  document.title = `${grouped(String(status.events_per_second))}/s · Tallybook`;
  find("ask").hidden = true;
  find("status").hidden = false;
}

function ask(refusal) {
  find("status").hidden = true;
  find("ask").hidden = false;
  find("refusal").textContent = refusal;
  find("token").focus();
}

/** Asks once; is it worth to ask again? */
async function look() {
  const token = sessionStorage.getItem(KEY);
  // A page that came without data is of a service with tokens.
  if (!token && find("status").hidden) return ask("");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answered = await fetch("/v1/status", { headers, cache: "no-store" });
  if (answered.status === 401 || answered.status === 403) {
    sessionStorage.removeItem(KEY);
    return ask((await answered.json()).detail);
  }
  if (!answered.ok) throw new Error(`it answers with ${answered.status}`);
  show(await answered.json());
  find("connection").textContent = "";
  return true;
}

let next;

async function follow() {
  clearTimeout(next);
  let goesOn = true;
  try {
    if (!document.hidden) goesOn = await look();
  } catch (error) {
    find("connection").textContent = `No answer: ${error.message}`;
  }
  if (goesOn) next = setTimeout(follow, PAUSE_MS);
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("token").value.trim());
  find("token").value = "";
  follow();
});
document.addEventListener("visibilitychange", follow);
follow();
