/* Asks what single views show, without their captions, beside the blind vote. */

const SEEN_KEPT = `bench-seen:${DATA.suite}:${TRIALS.id[0]}`;

/** Views that may be asked about: of trials whose caption is of the closed world, by an azimuth. */
function askedViews() {
  const found = [];
  for (const [i, trial] of (DATA.world ? DATA.world.trials : []).entries()) {
    const reel = reelsOf(trial).views;
    if (!reel) continue;
    const thing = DATA.world.things[i];
    DATA.labels[reel.labels].forEach((label, frame) => {
      const azimuth = /^azimuth (\d+)°$/.exec(label);
      if (azimuth) found.push({ trial, thing, reel, frame, view: Number(azimuth[1]) / 45 });
    });
  }
  return found;
}

function keptSeen() {
  const known = new Set(TRIALS.id);
  try {
    const kept = JSON.parse(localStorage.getItem(SEEN_KEPT) || "[]");
    return kept.filter((answer) => known.has(answer.trial) && Number.isInteger(answer.view));
  } catch {
    return []; // a browser that keeps nothing for pages from disk
  }
}

function keepSeen(seen) {
  try {
    localStorage.setItem(SEEN_KEPT, JSON.stringify(seen));
  } catch {
    // they stay in memory
  }
}

function setUpSeen() {
  const section = document.getElementById("seen");
  const all = askedViews();
  if (!section || !all.length) return;
  const names = Object.keys(DATA.world.properties);
  const seen = keptSeen();
  let at = null, chosen = {};
  const place = make("div", {});
  const said = make("output", { "aria-live": "polite" });
  const again = make("p", { class: "small" }, "You have seen every thing once. Save the answers now: who sees a thing again "
    + "learns from the clearer view, and shares come out too high.");
  const groups = make("div", {}, ...wordGroups(DATA.world, (name, value) => {
    chosen[name] = value;
    if (!names.every((its) => chosen[its])) return pressChosen(groups, chosen);
    seen.push({ trial: TRIALS.id[at.trial], view: at.view, ...chosen });
    keepSeen(seen);
    tell();
    next();
  }));
  const saving = button("Save answers", () => saveFile("seen", { schema: 1, suite: DATA.suite, seen }));
  const clearing = button("Forget answers", () => { seen.length = 0; keepSeen(seen); tell(); next(); });
  const tell = () => {
    said.textContent = seen.length ? `${counted(seen.length, "answer")}, kept in this browser` : "no answer yet";
    saving.disabled = clearing.disabled = !seen.length;
  };
  const next = () => {
    const answered = new Set(seen.map((answer) => `${answer.trial} ${answer.view}`));
    const open = all.filter((its) => its !== at && !answered.has(`${TRIALS.id[its.trial]} ${its.view}`));
    const trials = new Set(seen.map((answer) => answer.trial));
    const known = new Set(all.filter((its) => trials.has(TRIALS.id[its.trial])).map((its) => its.thing));
    const fresh = open.filter((its) => !known.has(its.thing)); // who sees a thing again learns from the clearer view
    const asked = fresh.length ? fresh : open;
    again.hidden = fresh.length > 0 || !seen.length || !open.length;
    at = asked.length ? asked[Math.floor(Math.random() * asked.length)] : null;
    chosen = {};
    pressChosen(groups, chosen);
    groups.hidden = !at;
    if (!at) return place.replaceChildren(make("p", {}, "All views are answered."));
    const frame = frameOf(at.reel, "a view of something", 192);
    frame.turn(at.frame);
    place.replaceChildren(frame.box);
  };
  section.append(again, make("div", { class: "asked" }, place, groups),
    make("div", { class: "votes" }, button("Skip", next), saving, clearing, said));
  tell();
  next();
  section.hidden = false;
}
