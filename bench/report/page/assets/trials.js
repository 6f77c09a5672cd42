/* The sheet at the side: the trials of an arm or a cluster, and one trial in full. */

const TERMS = [["loss", "total loss"], ["negative_cosine", "negative cosine"], ["transmittance", "transmittance"]];

let sheet = null;
let onBack = null;

/** The dialog, made when it is first asked for. */
function theSheet() {
  if (sheet) return sheet;
  const tools = make("div", { class: "sheet-head" });
  const body = make("div", { class: "sheet-body" });
  const dialog = make("dialog", { id: "trials", "aria-labelledby": "trials-title" }, tools, body);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    onBack = null;
    if (location.hash.startsWith("#trial=")) history.replaceState(null, "", location.pathname + location.search);
  });
  document.body.append(dialog);
  sheet = { dialog, tools, body };
  return sheet;
}

/** Fills the sheet and puts the reader at its beginning. */
function show(tools, body, title) {
  const { dialog, ...parts } = theSheet();
  const heading = make("h2", { id: "trials-title", tabindex: "-1" }, title);
  parts.tools.replaceChildren(...tools.filter(Boolean), button("Close", () => dialog.close(), { class: "button last" }));
  parts.body.replaceChildren(heading, ...body.filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  heading.focus();
}

/** All trials of an arm, of a cluster, or of one in the other; one alone is shown in full. */
function openTrials(table, where) {
  const chosen = table.rows.filter((place) => ["arm", "cluster"].every((key) => (
    where[key] === undefined || place[key] === where[key])));
  const back = () => openTrials(table, where);
  if (chosen.length === 1 && where.arm !== undefined && where.cluster !== undefined) {
    openTrial(chosen[0], chosen, null);
    return;
  }
  const names = [table.arms[where.arm], table.clusters[where.cluster]].filter((name) => name !== undefined);
  const numFailed = chosen.filter((place) => TRIALS.status[place.trial] === 1).length;
  const said = [`${table.name}: ${counted(chosen.length, "trial")}`, numFailed ? `${numFailed} failed` : "",
    `protocol ${table.protocol}`, "each number is the mean over a trial\u2019s views"].filter(Boolean).join("; ");
  const box = make("input", { type: "search", class: "field", placeholder: "any word", input: () => {
    const text = box.value.trim().toLowerCase();
    for (const row of grid.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(text) && !row.dataset.words.includes(text);
    }
  } });
  const grid = trialsGrid(table, chosen, where, back);
  history.replaceState(null, "", location.pathname + location.search);
  show([make("label", { class: "tools", style: "margin:0" }, "Filter ", box)],
    [make("p", { class: "small" }, said), make("div", { class: "scroll", tabindex: "0" }, grid)],
    names.join(" \u00b7 ") || table.name);
}

function trialsGrid(table, chosen, where, back) {
  const metrics = table.metrics.slice(0, table.num_primary);
  const isFixed = { arm: where.arm !== undefined, cluster: where.cluster !== undefined };
  const names = [isFixed.cluster ? null : table.noun, isFixed.arm ? null : "arm"].filter(Boolean);
  if (!names.length) names.push("trial");
  const heads = [...names, "seed", ...metrics.map((metric) => metric.heading), "seconds", "status", "trial"];
  const isLeft = (i) => i < names.length || i >= heads.length - 2;
  const head = make("tr", {}, ...heads.map((text, i) => make("th", { scope: "col", class: isLeft(i) && "left" }, text)));
  const body = make("tbody", {}, ...chosen.map((place) => {
    const its = { [table.noun]: table.clusters[place.cluster], arm: table.arms[place.arm], trial: `seed ${place.seed}` };
    const open = make("button", { type: "button", class: "open", click: () => openTrial(place, chosen, back) },
      its[names[0]]);
    const seconds = TRIALS.seconds[place.trial];
    const reason = reasonOf(place.trial);
    const id = TRIALS.id[place.trial];
    return make("tr", { "data-words": id.toLowerCase() },
      make("th", { scope: "row" }, open),
      ...names.slice(1).map((name) => make("td", { class: "left wrap" }, its[name])),
      make("td", {}, String(place.seed)),
      ...metrics.map((metric, i) => make("td", {}, number(place.scores[i], metric.digits))),
      make("td", {}, number(seconds, seconds < 10 ? 2 : 1)),
      make("td", { class: reason ? "wrap" : "left" }, make("span", { class: TRIALS.status[place.trial] === 1 && "worse" },
        statusOf(place.trial) + (reason ? `: ${reason}` : ""))),
      make("td", { class: "left" }, make("code", { title: id }, id.split("__").pop())));
  }));
  const grid = make("table", { class: "small-table" }, make("thead", {}, head), body);
  makeSortable(grid);
  return grid;
}

/** One trial in full. */
function openTrial(place, among, back) {
  const { table, trial } = place;
  const id = TRIALS.id[trial];
  const at = among.indexOf(place);
  const step = (by, text) => button(text, () => openTrial(among[at + by], among, back), { disabled: !among[at + by] });
  const reason = reasonOf(trial);
  const facts = [table.name, `seed ${place.seed}`, TRIALS.steps[trial] ? `${TRIALS.steps[trial]} steps` : "",
    TRIALS.seconds[trial] === null ? "" : `${number(TRIALS.seconds[trial], 1)} s`].filter(Boolean).join("; ");
  const status = TRIALS.status[trial] === 0 ? null : make("p", { class: "worse" },
    `${statusOf(trial)}${reason ? `: ${reason}` : ""}`);
  history.replaceState(null, "", `#trial=${encodeURIComponent(id)}`);
  show(
    [back ? button("\u2190 All", back) : null, among.length > 1 ? step(-1, "Previous") : null,
      among.length > 1 ? step(1, "Next") : null],
    [make("p", { class: "question" }, `${table.arms[place.arm]} \u00b7 ${facts}`), status,
      ...picturesOf(place), ...curvesOf(trial), ...scoresOf(place), ...differencesOf(place), ...linksOf(trial)],
    table.clusters[place.cluster],
  );
}

function picturesOf(place) {
  const reels = Object.entries(reelsOf(place.trial)).filter(([kind]) => kind !== "truth");
  const titles = { views: "Views", errors: "Where it is wrong", training: "Over training" };
  if (!reels.length) {
    const isDone = TRIALS.status[place.trial] === 0;
    return [make("p", { class: "small" }, isDone ? "This page holds no pictures of this trial." : "It left no pictures.")];
  }
  return reels.flatMap(([kind, reel]) => {
    const name = place.table.clusters[place.cluster];
    const figures = DATA.labels[reel.labels].map((label, i) => {
      const frame = frameOf(reel, `${titles[kind]} of ${name}: ${label}`, 104);
      frame.turn(i);
      const values = kind === "training" ? undefined : place.table.views[place.trial];
      const value = values && values[i];
      const said = value === undefined || value === null ? "" : `: ${firstMetric(place.table, value)}`;
      return make("figure", {}, frame.box, make("figcaption", {}, label + said));
    });
    return [make("h3", {}, titles[kind]), make("div", { class: "strip-row" }, ...figures)];
  });
}

function curvesOf(trial) {
  const curves = TRIALS.curves[trial];
  if (!curves) return [];
  const steps = DATA.steps[curves.step];
  const drawn = TERMS.filter(([term]) => curves[term]).map(([term, title]) => (
    make("figure", {}, curve(steps, curves[term], DATA.steps[curves[`${term}_target`]], title),
      make("figcaption", {}, title + (DATA.steps[curves[`${term}_target`]] ? "; dashed: its target" : "")))));
  return drawn.length ? [make("h3", {}, "Training"), make("div", { class: "curves" }, ...drawn)] : [];
}

/** A line through what is finite; ends of both axes are named. */
function curve(steps, values, goal, title) {
  const [width, height, left, bottom, top] = [280, 130, 46, 18, 8];
  const all = [...values, ...(goal || [])].filter((value) => value !== null);
  if (!all.length) return make("p", { class: "small" }, "No finite value.");
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const [first, last] = [steps[0], steps[steps.length - 1]];
  const x = (step) => left + (width - left - 6) * (last > first ? (step - first) / (last - first) : 0.5);
  const y = (value) => top + (height - top - bottom) * (high > low ? (high - value) / (high - low) : 0.5);
  const line = (its, kind) => {
    const parts = [[]];
    its.forEach((value, i) => {
      if (value === null) parts.push([]);
      else parts[parts.length - 1].push(`${x(steps[i]).toFixed(1)},${y(value).toFixed(1)}`);
    });
    return parts.filter((part) => part.length).map((part) => (
      make("polyline", { class: kind, points: (part.length > 1 ? part : [part[0], part[0]]).join(" ") })));
  };
  const finite = values.filter((value) => value !== null);
  const text = (where, anchor, said) => make("text", { x: where[0], y: where[1], "text-anchor": anchor }, said);
  return make("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": finite.length ? `${title}: ${short(finite[0])} at step ${short(first)}, ${
      short(finite[finite.length - 1])} at step ${short(last)}` : title,
  },
  make("line", { class: "axis", x1: left, x2: width - 6, y1: height - bottom, y2: height - bottom }),
  make("line", { class: "axis", x1: left, x2: left, y1: top, y2: height - bottom }),
  text([left - 5, y(high) + 4], "end", short(high)),
  ...(high > low ? [text([left - 5, y(low) + 3], "end", short(low))] : []),
  text([left, height - 4], "start", short(first)), text([width - 6, height - 4], "end", `step ${short(last)}`),
  ...(goal ? line(goal, "goal") : []), ...line(values, "line"));
}

/** Every metric beside that of the baseline's trial of the same cluster and seed. */
function scoresOf(place) {
  const { table } = place;
  const other = place.arm === table.baseline ? null : table.rows.find((its) => (
    its.arm === table.baseline && its.cluster === place.cluster && its.seed === place.seed));
  const heads = ["metric", "this trial", ...(other ? ["baseline", "difference"] : [])];
  const rows = table.metrics.map((metric, i) => {
    const [mine, its] = [place.scores[i], other ? other.scores[i] : null];
    const why = place.why[i] === undefined ? null : make("span", { class: "below quiet" }, DATA.reasons[place.why[i]]);
    const difference = mine === null || its === null ? null : mine - its;
    return make("tr", {}, make("th", { scope: "row" }, metric.heading),
      make("td", {}, number(mine, metric.digits), why),
      ...(other ? [make("td", {}, number(its, metric.digits)), make("td", {}, number(difference, metric.digits, true))]
        : []));
  });
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const grid = make("table", { class: "small-table" }, make("thead", {}, head), make("tbody", {}, ...rows));
  const said = `Means over views, protocol ${table.protocol}${
    other ? `; baseline: ${table.arms[table.baseline]}, same ${table.noun} and seed` : ""}.`;
  return [make("h3", {}, "Scores"), make("div", { class: "scroll", tabindex: "0" }, grid),
    make("p", { class: "small" }, said)];
}

/** Fields in which it differs from the baseline's trial. */
function differencesOf(place) {
  if (place.arm === place.table.baseline || place.differs === null) return [];
  const fields = DATA.fields[place.differs];
  const heading = make("h3", {}, "What differs from the baseline");
  if (!fields.length) return [heading, make("p", { class: "small" }, "Nothing: it is the same trial.")];
  const head = make("tr", {}, ...["field", "this trial", "baseline"].map((text, i) => (
    make("th", { scope: "col", class: i > 0 && "left" }, text))));
  const rows = fields.map(([name, mine, its]) => make("tr", {}, make("th", { scope: "row" }, name),
    make("td", { class: "left wrap" }, mine), make("td", { class: "left wrap" }, its)));
  return [heading, make("div", { class: "scroll", tabindex: "0" },
    make("table", { class: "small-table" }, make("thead", {}, head), make("tbody", {}, ...rows)))];
}

function linksOf(trial) {
  const id = TRIALS.id[trial];
  const viewer = DATA.viewers[trial];
  return [make("h3", {}, "Where it lies"),
    make("p", {}, make("a", { href: `#trial=${encodeURIComponent(id)}` }, make("code", {}, id)),
      ...(viewer ? [", ", link(viewer, "its mesh")] : [])),
    TRIALS.status[trial] === 2 ? null : make("pre", {}, `python -m bench show ${id}`)];
}

/** A page's address may name a trial. */
function openFromAddress() {
  const match = location.hash.match(/^#trial=(.+)$/);
  if (!match) return;
  const trial = TRIALS.id.indexOf(decodeURIComponent(match[1]));
  const place = DATA.tables.flatMap((table) => table.rows).find((its) => its.trial === trial);
  if (place) openTrial(place, [place], () => openTrials(place.table, { arm: place.arm }));
}
