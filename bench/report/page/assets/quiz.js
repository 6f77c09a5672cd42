/* Asks for the kind, colour and finish of one picture after the other, and saves a table of answers. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const NAMES = Object.keys(DATA.properties);
const KEPT = `bench-quiz:${DATA.quiz}`;

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/** Answers by number, as this browser kept them; others of another page are left out. */
function keptAnswers() {
  const found = {};
  try {
    for (const [number, chosen] of Object.entries(JSON.parse(localStorage.getItem(KEPT) || "{}"))) {
      if (!(number >= 1 && number <= DATA.pictures.length)) continue;
      const known = NAMES.filter((name) => [...DATA.properties[name], UNKNOWN].includes(chosen[name]));
      found[number] = Object.fromEntries(known.map((name) => [name, chosen[name]]));
    }
  } catch {
    // a browser that keeps nothing for pages from disk
  }
  return found;
}

const answers = keptAnswers();
let number = 1;

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(answers));
  } catch {
    // they stay in memory
  }
}

const isWhole = (at) => NAMES.every((name) => (answers[at] || {})[name]);

function numAnswered() {
  return DATA.pictures.reduce((sum, _, i) => sum + isWhole(i + 1), 0);
}

/** The next number without a whole answer, from here on and round; this one where there is none. */
function nextOpen() {
  for (let step = 1; step <= DATA.pictures.length; step += 1) {
    const at = ((number - 1 + step) % DATA.pictures.length) + 1;
    if (!isWhole(at)) return at;
  }
  return number;
}

function choose(name, value) {
  const wasWhole = isWhole(number);
  answers[number] = { ...answers[number], [name]: value };
  keep();
  if (!wasWhole && isWhole(number)) go(nextOpen());
  else draw();
}

function go(at) {
  number = Math.min(Math.max(at, 1), DATA.pictures.length);
  typed.value = "";
  draw();
}

/** What a typed word can mean: the values that begin with it, or are it. */
function meant(word) {
  const found = NAMES.flatMap((name) => DATA.properties[name].filter((value) => value.startsWith(word))
    .map((value) => [name, value]));
  const exact = found.filter(([, value]) => value === word);
  return exact.length ? exact : found;
}

function readTyped() {
  const words = typed.value.toLowerCase().split(/[\s,;]+/).filter(Boolean);
  const chosen = {};
  for (const word of words) {
    if (word === UNKNOWN) {
      NAMES.filter((name) => !chosen[name]).forEach((name) => { chosen[name] = UNKNOWN; });
      continue;
    }
    const open = meant(word).filter(([name]) => !chosen[name] || chosen[name] === UNKNOWN);
    if (open.length !== 1) {
      const others = open.slice(0, 6).map(([, value]) => value).join(", ");
      told.textContent = `\u201c${word}\u201d: ${open.length ? `which of ${others}?` : "no kind, colour or finish"}`;
      return;
    }
    chosen[open[0][0]] = open[0][1];
  }
  answers[number] = { ...answers[number], ...chosen };
  keep();
  if (isWhole(number)) go(nextOpen());
  else {
    typed.value = "";
    draw();
  }
}

function save() {
  const rows = DATA.pictures.map((_, i) => [i + 1, ...NAMES.map((name) => (answers[i + 1] || {})[name] || "")].join(","));
  const text = `# quiz ${DATA.quiz}\nnumber,${NAMES.join(",")}\n${rows.join("\n")}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const who = person.value.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "answers";
  make("a", { href: url, download: `${who}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const image = make("img", { alt: "a picture of something" });
const caption = make("figcaption");
const typed = make("input", { id: "typed", class: "field", autocomplete: "off", spellcheck: "false",
  "aria-label": "kind, colour and finish", placeholder: "or type, e.g. chair red metallic, and Enter" });
const told = make("output", { "aria-live": "polite", class: "small" });
const person = make("input", { class: "field", "aria-label": "your name", placeholder: "your name" });
const filled = make("div");
const button = (text, click) => make("button", { type: "button", class: "button", click }, text);
const back = button("Back", () => go(number - 1));
const onward = button("Skip", () => go(number + 1));
const saving = button("Save answers", save);

const groups = make("div", {}, ...wordGroups(DATA, choose));

function draw() {
  image.src = DATA.pictures[number - 1];
  caption.textContent = `${number} of ${DATA.pictures.length}`;
  pressChosen(groups, answers[number] || {});
  const num = numAnswered();
  told.textContent = `${num} of ${DATA.pictures.length} answered, kept in this browser`;
  filled.style.width = `${(100 * num) / DATA.pictures.length}%`;
  back.disabled = number === 1;
  onward.disabled = number === DATA.pictures.length;
  saving.disabled = Object.keys(answers).length === 0;
}

typed.addEventListener("keydown", (event) => {
  if (event.key === "Enter") readTyped();
  else if (typed.value === "" && event.key === "ArrowLeft") go(number - 1);
  else if (typed.value === "" && event.key === "ArrowRight") go(number + 1);
});

document.getElementById("quiz").replaceChildren(
  make("div", { class: "bar" }, filled),
  make("div", { class: "asked" },
    make("div", {}, make("figure", {}, image, caption), make("div", { class: "tools" }, back, onward)),
    make("div", {}, groups, make("div", { class: "tools" }, typed), make("div", { class: "tools" }, person, saving, told))),
);
if (isWhole(number)) number = nextOpen();
draw();
typed.focus();
document.documentElement.dataset.ready = "1";
