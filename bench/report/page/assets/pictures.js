/* Turntables that turn together, blind votes, meshes. Nothing moves until somebody asks for it. */

const FRAME_MS = 260;
const KINDS = { views: "views", errors: "where they are wrong", training: "over training" };

/** One frame of a reel at a time, shown a whole number of times as large. */
function frameOf(reel, alt, size) {
  if (!reel) return { box: make("div", { class: "frame none", style: `width:${size}px;height:${size}px` }, alt), turn() {} };
  const labels = DATA.labels[reel.labels];
  const times = Math.max(1, Math.round(size / reel.height));
  const [width, height] = [reel.width * times, reel.height * times];
  const image = make("img", { src: address(reel.path), loading: "lazy", width: width * labels.length, height, alt });
  const box = make("div", { class: "frame", style: `width:${width}px;height:${height}px` }, image);
  return {
    box, width, num: labels.length, labels,
    turn(frame) { image.style.transform = `translateX(${-width * (frame % labels.length)}px)`; },
  };
}

/** One slider and one button for several frames. */
function makePlayer(name) {
  let frames = [], timer = null;
  const slider = make("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": name, input: () => turn() });
  const said = make("output", {});
  const play = button("Play", () => (timer === null ? start() : stop()), { "aria-pressed": "false" });
  const turn = () => {
    const frame = Number(slider.value);
    frames.forEach((its) => its.turn(frame));
    const longest = frames.find((its) => its.num === Number(slider.max) + 1);
    said.textContent = longest ? longest.labels[frame] : "";
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  const start = () => {
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1);
      turn();
    }, FRAME_MS);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };
  return {
    bar: make("div", { class: "player" }, play, slider, said),
    stop,
    set(its) {
      frames = its;
      const num = Math.max(1, ...frames.map((frame) => frame.num || 1));
      slider.max = num - 1;
      if (Number(slider.value) > num - 1) slider.value = 0;
      slider.disabled = play.disabled = num < 2;
      if (num < 2) stop();
      turn();
    },
  };
}

/** The photographs of a cluster, which stand once for all tables. */
function truthOf(name) {
  for (const table of DATA.tables) {
    for (const place of table.rows) {
      const reel = reelsOf(place.trial).truth;
      if (reel && table.clusters[place.cluster] === name) return reel;
    }
  }
  return undefined;
}

/** Places with pictures, the first of each arm and cluster. */
function shownIn(table) {
  const firstSeed = Math.min(...table.rows.map((place) => place.seed));
  const clusters = new Map();
  for (const place of table.rows) {
    if (place.seed !== firstSeed) continue;
    if (!clusters.has(place.cluster)) clusters.set(place.cluster, []);
    clusters.get(place.cluster).push(place);
  }
  return [...clusters].filter(([, places]) => places.some((place) => reelsOf(place.trial).views));
}

function setUpLook() {
  const section = document.getElementById("look");
  const tables = DATA.tables.filter((table) => shownIn(table).length);
  if (!section || !tables.length) return;
  let table = tables[0], kind = "views", at = 0;
  const tiles = make("div", { class: "tiles" });
  const under = make("p", { class: "small", style: "margin-top:12px" });
  const player = makePlayer("which view");
  const which = choice("Table", tables.map((its) => [its.index, its.name]), (value) => {
    table = DATA.tables[Number(value)];
    at = 0;
    fillClusters();
    draw();
  });
  const clusters = choice("", [], (value) => { at = Number(value); draw(); });
  const kinds = choice("Show", [], (value) => { kind = value; draw(); });
  const go = (by) => {
    const num = clusters.select.options.length;
    at = (at + by + num) % num;
    clusters.select.value = String(at);
    draw();
  };
  const fillClusters = () => {
    clusters.label.firstChild.textContent = table.noun[0].toUpperCase() + table.noun.slice(1);
    clusters.select.replaceChildren(...shownIn(table).map(([cluster], i) => (
      make("option", { value: i }, table.clusters[cluster]))));
  };
  const draw = () => {
    const [cluster, places] = shownIn(table)[at];
    const found = Object.keys(KINDS).filter((name) => places.some((place) => reelsOf(place.trial)[name]));
    if (!found.includes(kind)) kind = "views";
    kinds.select.replaceChildren(...found.map((name) => make("option", { value: name }, KINDS[name])));
    kinds.select.value = kind;
    kinds.label.hidden = found.length < 2;
    const name = table.clusters[cluster];
    const truth = kind === "training" ? undefined : truthOf(name);
    const shown = places.map((place) => {
      const reel = reelsOf(place.trial)[kind];
      const arm = table.arms[place.arm];
      const isDone = TRIALS.status[place.trial] === 0;
      const frame = frameOf(reel, reel ? `${name}, by ${arm}` : isDone ? "no view" : statusOf(place.trial), 144);
      const role = place.arm === table.baseline ? "baseline, " : "";
      const said = make("small", {}, role + headline(place));
      const turned = { ...frame, turn(i) { frame.turn(i); said.textContent = role + headlineOf(place, kind, i); } };
      return [turned, make("figure", { style: frame.width ? `width:${frame.width}px` : "width:144px" }, frame.box,
        make("figcaption", {}, make("button", { type: "button", class: "open",
          click: () => openTrial(place, places, null) }, arm), said))];
    });
    if (truth) {
      const frame = frameOf(truth, `${name}, the photographs`, 144);
      shown.unshift([frame, make("figure", { style: `width:${frame.width}px` }, frame.box,
        make("figcaption", {}, "truth"))]);
    }
    tiles.replaceChildren(...shown.map(([, figure]) => figure));
    under.textContent = `Numbers: ${table.metrics[0].heading}, protocol ${table.protocol}: in the view that is shown, `
      + "where it is scored, and the mean over all scored views of the trial.";
    player.set(shown.map(([frame]) => frame));
  };
  fillClusters();
  which.label.hidden = tables.length < 2;
  section.append(make("div", { class: "tools" }, which.label, clusters.label, kinds.label,
    button("Previous", () => go(-1)), button("Next", () => go(1))), player.bar, tiles, under);
  draw();
  section.hidden = false;
}

/* --- blind votes --- */

const KEPT = `bench-votes:${DATA.suite}:${TRIALS.id[0]}`;

function keptVotes() {
  const known = new Set(TRIALS.id);
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) || "[]");
    return kept.filter((vote) => known.has(vote.left) && known.has(vote.right)
      && ["left", "right", "tie"].includes(vote.choice))
      .map(({ left, right, choice: chosen }) => ({ left, right, choice: chosen }));
  } catch {
    return []; // a browser that keeps nothing for pages from disk
  }
}

function keep(votes) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(votes));
  } catch {
    // they stay in memory
  }
}

/** All pairs of arms with views of the same cluster. */
function pairs() {
  const found = [];
  for (const table of DATA.tables) {
    for (const [cluster, places] of shownIn(table)) {
      const seen = places.filter((place) => reelsOf(place.trial).views);
      seen.forEach((a, i) => seen.slice(i + 1).forEach((b) => {
        if (a.trial !== b.trial) found.push({ table, cluster, sides: [a, b] });
      }));
    }
  }
  return found;
}

/** Let the browser save a value under a name that the suite's follows. */
function saveFile(kind, value) {
  const text = `${JSON.stringify(value, null, 1)}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const name = `${kind}-${DATA.suite.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "study"}.json`;
  const anchor = make("a", { href: url, download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function setUpVotes() {
  const section = document.getElementById("vote");
  const all = pairs();
  if (!section || !all.length) return;
  const votes = keptVotes();
  let pair = null, isSeen = false;
  const ask = make("p", { class: "ask" });
  const tiles = make("div", { class: "tiles" });
  const player = makePlayer("which view, of both");
  const said = make("output", { "aria-live": "polite" });
  const saving = button("Save votes", () => saveFile("votes", { schema: 1, suite: DATA.suite, votes }));
  const clearing = button("Forget votes", () => { votes.length = 0; keep(votes); tell(); });
  const tell = () => {
    said.textContent = votes.length ? `${counted(votes.length, "vote")}, kept in this browser` : "no vote yet";
    saving.disabled = clearing.disabled = !votes.length;
  };
  const next = () => {
    const last = pair;
    do pair = all[Math.floor(Math.random() * all.length)]; while (all.length > 1 && last && pair === last.from);
    pair = { ...pair, from: pair, sides: Math.random() < 0.5 ? pair.sides : [...pair.sides].reverse() };
    const name = pair.table.clusters[pair.cluster];
    const truth = truthOf(name);
    ask.textContent = truth ? `Which is closer to the truth: ${name}?` : `Which shows it better: \u201c${name}\u201d?`;
    const size = window.innerWidth < 640 ? 150 : 192; // two beside each other
    const frames = pair.sides.map((place, i) => frameOf(reelsOf(place.trial).views, `${name}, side ${"AB"[i]}`, size));
    const figures = frames.map((frame, i) => make("figure", {}, frame.box, make("figcaption", {}, "AB"[i])));
    if (truth) {
      frames.push(frameOf(truth, `${name}, the photographs`, size));
      figures.splice(1, 0, make("figure", {}, frames[2].box, make("figcaption", {}, "truth")));
    }
    tiles.replaceChildren(...figures);
    player.set(frames);
  };
  const cast = (chosen) => {
    const [left, right] = pair.sides.map((place) => TRIALS.id[place.trial]);
    votes.push({ left, right, choice: chosen });
    keep(votes);
    tell();
    next();
  };
  const key = (name) => make("kbd", {}, name);
  const choosing = [["A is better", "left", "A"], ["Alike", "tie", "="], ["B is better", "right", "B"]].map(
    ([text, chosen, name]) => make("button", { type: "button", class: "button", "data-choice": chosen,
      "aria-keyshortcuts": name, click: () => cast(chosen) }, text, key(name)));
  section.append(ask, player.bar, tiles, make("div", { class: "votes" }, ...choosing, button("Skip", next)),
    make("div", { class: "votes" }, saving, clearing, said));
  new IntersectionObserver((entries) => { isSeen = entries[entries.length - 1].isIntersecting; }).observe(tiles);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input:not([type=range]), select, textarea, dialog");
    if (!isSeen || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const chosen = { a: "left", b: "right", "=": "tie" }[event.key.toLowerCase()];
    if (chosen) {
      event.preventDefault();
      cast(chosen);
    }
  });
  tell();
  next();
  section.hidden = false;
}

/* --- meshes --- */

/** A viewer is large: it is loaded when it is asked for. */
function setUpObjects() {
  for (const figure of document.querySelectorAll("#objects figure")) {
    const anchor = figure.querySelector("a");
    const name = figure.querySelector("figcaption").firstChild.textContent.replace(/ \($/, "");
    const reel = reelsOf(TRIALS.id.indexOf(figure.dataset.trial)).views;
    const stage = make("div", { class: "stage" }, reel ? frameOf(reel, `${name}, one view`, 192).box : null);
    stage.append(button("Load the mesh", () => {
      const viewer = make("iframe", { src: anchor.getAttribute("href"), title: `mesh: ${name}` });
      stage.replaceWith(viewer);
      viewer.focus();
    }));
    figure.prepend(stage);
  }
}

setUpTables();
setUpLook();
setUpVotes();
setUpSeen();
setUpObjects();
document.querySelectorAll("nav [hidden]").forEach((anchor) => {
  const target = document.querySelector(anchor.getAttribute("href"));
  anchor.hidden = !target || target.hidden;
});
window.addEventListener("hashchange", openFromAddress);
openFromAddress();
document.documentElement.dataset.ready = "1";
