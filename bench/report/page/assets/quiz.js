/* Asks for the kind, colour and finish of one picture after the other, and saves a table of answers. Where the quiz has
   several forms, it lists them first; a form is opened by its link, index.html#form-2. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const NAMES = Object.keys(DATA.properties);
const KEPT = `bench-quiz:${DATA.quiz}`;
const HAS_FORMS = DATA.forms.length > 1;

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
let form = 1;
let numbers = DATA.forms[0];
let place = 0;
const numberHere = () => numbers[place];

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(answers));
  } catch {
    // they stay in memory
  }
}

const isWhole = (at) => NAMES.every((name) => (answers[at] || {})[name]);

const numAnswered = (within) => within.filter(isWhole).length;

/** The next place without a whole answer, from here on and round; this one where there is none. */
function nextOpen() {
  for (let step = 1; step <= numbers.length; step += 1) {
    const at = (place + step) % numbers.length;
    if (!isWhole(numbers[at])) return at;
  }
  return place;
}

function choose(name, value) {
  const number = numberHere();
  const wasWhole = isWhole(number);
  answers[number] = { ...answers[number], [name]: value };
  keep();
  if (!wasWhole && isWhole(number)) go(nextOpen());
  else draw();
}

function go(at) {
  place = Math.min(Math.max(at, 0), numbers.length - 1);
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
  answers[numberHere()] = { ...answers[numberHere()], ...chosen };
  keep();
  if (isWhole(numberHere())) go(nextOpen());
  else {
    typed.value = "";
    draw();
  }
}

function save() {
  const rows = numbers.map((number) => [number, ...NAMES.map((name) => (answers[number] || {})[name] || "")].join(","));
  const text = `# quiz ${DATA.quiz}\nnumber,${NAMES.join(",")}\n${rows.join("\n")}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const who = person.value.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "answers";
  make("a", { href: url, download: `${who}${HAS_FORMS ? `-form-${form}` : ""}.csv` }).click();
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
const back = button("Back", () => go(place - 1));
const onward = button("Skip", () => go(place + 1));
const saving = button("Save answers", save);

const groups = make("div", {}, ...wordGroups(DATA, choose));

function draw() {
  const number = numberHere();
  image.src = DATA.pictures[number - 1];
  caption.textContent = `${place + 1} of ${numbers.length}${HAS_FORMS ? ` in form ${form}, picture ${number}` : ""}`;
  pressChosen(groups, answers[number] || {});
  const num = numAnswered(numbers);
  told.textContent = `${num} of ${numbers.length} answered, kept in this browser`;
  filled.style.width = `${(100 * num) / numbers.length}%`;
  back.disabled = place === 0;
  onward.disabled = place === numbers.length - 1;
  saving.disabled = !numbers.some((its) => answers[its]);
}

typed.addEventListener("keydown", (event) => {
  if (event.key === "Enter") readTyped();
  else if (typed.value === "" && event.key === "ArrowLeft") go(place - 1);
  else if (typed.value === "" && event.key === "ArrowRight") go(place + 1);
});

/** The list of forms, each with what was answered of it in this browser. */
function listForms() {
  const items = DATA.forms.map((its, i) => {
    const num = its.filter((number) => answers[number]).length;
    return make("li", {}, make("a", { href: `#form-${i + 1}` }, `Form ${i + 1}`),
      `, ${its.length} pictures${num ? `, ${num} answered in this browser` : ""}`);
  });
  return [make("h2", {}, "Forms"), make("p", {}, DATA.about_forms), make("ul", { class: "forms" }, ...items)];
}

/** Other forms that were answered in this browser, as a warning; nothing where there are none. */
function warnOfOthers() {
  const others = DATA.forms.flatMap((its, i) => (i + 1 !== form && its.some((number) => answers[number]) ? [i + 1] : []));
  if (!others.length) return [];
  const named = others.length > 1 ? `Forms ${others.join(", ")} were` : `Form ${others[0]} was`;
  return [make("p", { role: "alert" }, `${named} answered in this browser. If that was you, stop here: this form shows the `
    + "same things again.")];
}

function askForm() {
  numbers = DATA.forms[form - 1];
  place = 0;
  if (isWhole(numberHere())) place = nextOpen();
  document.getElementById("quiz").replaceChildren(
    ...warnOfOthers(),
    make("div", { class: "bar" }, filled),
    make("div", { class: "asked" },
      make("div", {}, make("figure", {}, image, caption), make("div", { class: "tools" }, back, onward)),
      make("div", {}, groups, make("div", { class: "tools" }, typed), make("div", { class: "tools" }, person, saving, told))),
  );
  typed.value = "";
  draw();
  typed.focus({ preventScroll: true }); // what stands above must be read
}

/** Show the form that the address names, or the list of forms. */
function show() {
  const named = /^#form-(\d+)$/.exec(location.hash);
  form = HAS_FORMS ? Number(named ? named[1] : 0) : 1;
  if (form >= 1 && form <= DATA.forms.length) askForm();
  else document.getElementById("quiz").replaceChildren(...listForms());
}

window.addEventListener("hashchange", show);
show();
document.documentElement.dataset.ready = "1";
