/* What all parts of the page's script share: the data, elements, numbers. Text is only ever set as text. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const TRIALS = DATA.trials;
const DASH = "\u2013";

/** An element: properties by name (`class`, `data-...` and `aria-...` as attributes, functions as listeners), then children. */
function make(tag, properties = {}, ...children) {
  const made = tag === "svg" || SVG_TAGS.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG_TAGS = new Set(["polyline", "line", "text"]);

function button(text, click, properties = {}) {
  return make("button", { type: "button", class: "button", click, ...properties }, text);
}

/** A labelled choice; options are [value, text]. */
function choice(label, options, change) {
  const select = make("select", { class: "field", change: () => change(select.value) });
  select.append(...options.map(([value, text]) => make("option", { value }, text)));
  return { label: make("label", {}, label, select), select };
}

/** A number as the tables print it: so many digits, a true minus, a dash for none. */
function number(value, digits, signed = false) {
  if (value === null || value === undefined) return DASH;
  const text = value.toFixed(digits);
  if (Number(text) === 0) return text.replace("-", "");
  return (signed && value > 0 ? "+" : "") + text.replace("-", "\u2212");
}

/** Three digits that count, for axes. */
function short(value) {
  return String(Number(value.toPrecision(3))).replace("-", "\u2212");
}

function counted(num, noun) {
  return `${num} ${noun}${num === 1 ? "" : "s"}`;
}

/** A file of the report, whatever its name holds. */
function address(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

function link(path, text, properties = {}) {
  return make("a", { href: address(path), ...properties }, text);
}

/** Places of a table (trials in it) as objects. */
function placesOf(table) {
  return table.places.map(([arm, cluster, seed, trial], i) => ({
    table, arm, cluster, seed, trial, scores: table.scores[i], differs: table.differs[i], why: table.whys[i] || {},
  }));
}

DATA.tables.forEach((table, index) => {
  table.index = index;
  table.rows = placesOf(table);
});

function reelsOf(trial) {
  return DATA.reels[trial] || {};
}

/** What became of a trial, in a word. */
function statusOf(trial) {
  return ["finished", "failed", "not run"][TRIALS.status[trial]];
}

function reasonOf(trial) {
  const reason = TRIALS.reason[trial];
  return reason === null ? "" : DATA.reasons[reason];
}

/** A table's first metric as text, with its unit. */
function firstMetric(table, value) {
  const metric = table.metrics[0];
  return `${number(value, metric.digits)}${metric.unit ? ` ${metric.unit}` : ""}`;
}

/** What stands under a picture: the mean of the first metric; what became of a trial without one. */
function headline(place) {
  if (TRIALS.status[place.trial] !== 0) return statusOf(place.trial);
  return `mean ${firstMetric(place.table, place.scores[0])}`;
}

/** The same for one frame of a reel: the number of its own view before the mean. */
function headlineOf(place, kind, frame) {
  const values = kind === "training" ? undefined : place.table.views[place.trial];
  const value = values && values[frame % values.length];
  if (value === undefined || value === null) return headline(place);
  return `${firstMetric(place.table, value)} here, ${headline(place)}`;
}
