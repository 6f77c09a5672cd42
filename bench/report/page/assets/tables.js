/* Sorts and filters the tables that stand in the page. Without it they read as they are. */

/** What a cell is sorted by: its first text, as a number where it begins with one. */
function keyOf(cell) {
  const text = (cell.dataset.key ?? (cell.firstChild ? cell.firstChild.textContent : "")).trim();
  const match = text.replace("\u2212", "-").match(/^[<>~]?([+-]?\d+(\.\d+)?)/);
  return { text, number: match ? Number(match[1]) : null };
}

/** Compares by number where a column has numbers, else by text; what has none comes last, whichever way is up. */
function compareKeys(a, b, sign, isNumeric) {
  if (!isNumeric) return sign * a.text.localeCompare(b.text, undefined, { numeric: true });
  if (a.number === null || b.number === null) return (a.number === null) - (b.number === null);
  return sign * (a.number - b.number);
}

/** Puts a button into each head. A column is sorted one way, then the other, then as it was written. */
function makeSortable(table) {
  const body = table.tBodies[0];
  const written = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const sortBy = (column) => {
    const head = heads[column];
    const keys = new Map(written.map((row) => [row, keyOf(row.cells[column])]));
    const isNumeric = column > 0 && [...keys.values()].some((key) => key.number !== null);
    const order = isNumeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
    const next = order[(order.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const rows = written.filter((row) => !row.dataset.last);
    if (next !== "none") rows.sort((a, b) => compareKeys(keys.get(a), keys.get(b), sign, isNumeric));
    body.append(...rows, ...written.filter((row) => row.dataset.last));
  };
  heads.forEach((head, column) => {
    const inner = make("button", { type: "button", class: "sort", click: () => sortBy(column) }, ...head.childNodes);
    head.setAttribute("aria-sort", "none");
    head.append(inner);
  });
}

/** Makes rows lead to their trials. */
function makeOpen(grid, table) {
  const rowKind = grid.dataset.rows;
  const columnKind = { arms: "clusters", clusters: "arms" }[rowKind];
  [...grid.tBodies[0].rows].forEach((row, i) => {
    const isMean = i >= table[rowKind].length; // or what the arms are read beside
    if (isMean) row.dataset.last = "1";
    row.dataset.place = i;
    const chosen = (column) => {
      const where = isMean ? {} : { [rowKind === "arms" ? "arm" : "cluster"]: i };
      const other = column - 1;
      const isOther = grid.dataset.cells === "trials" && column > 0 && other < table[columnKind].length;
      return isOther ? { ...where, [columnKind === "arms" ? "arm" : "cluster"]: other } : where;
    };
    const name = row.cells[0];
    if (!isMean) {
      name.append(make("button", { type: "button", class: "open", click: () => openTrials(table, chosen(0)) },
        ...name.childNodes));
    }
    [...row.cells].slice(1).forEach((cell, column) => {
      if (isMean && (rowKind === "arms" || grid.dataset.cells !== "trials")) return;
      cell.classList.add("leads");
      cell.addEventListener("click", () => openTrials(table, chosen(column + 1)));
    });
  });
}

/** One box and one choice above a section's tables. */
function makeTools(section, table, grids) {
  const noun = table.noun;
  const box = make("input", { type: "search", class: "field", placeholder: `arm or ${noun}`, input: () => apply() });
  const found = [...new Set(table.verdicts.flat())].filter((verdict) => verdict !== "baseline");
  const verdict = choice("Verdict", [["", "any"], ...found.map((name) => [name, name])], () => apply());
  const said = make("output", { "aria-live": "polite" });
  const apply = () => {
    const text = box.value.trim().toLowerCase();
    const matches = (name) => name.toLowerCase().includes(text);
    const arms = table.arms.map((name, i) => ({
      hit: matches(name), fits: !verdict.select.value || table.verdicts[i].includes(verdict.select.value),
    }));
    const clusters = table.clusters.map((name) => ({ hit: matches(name), fits: true }));
    const [anyArm, anyCluster] = [arms.some((x) => x.hit), clusters.some((x) => x.hit)];
    // a word that names only arms says nothing of clusters, and the other way round
    const isShown = {
      arms: (i) => i >= arms.length || (arms[i].fits && (arms[i].hit || (!anyArm && anyCluster))),
      clusters: (i) => i >= clusters.length || clusters[i].hit || (!anyCluster && anyArm),
    };
    grids.forEach((grid) => filterGrid(grid, isShown));
    const num = table.arms.filter((_, i) => isShown.arms(i)).length;
    const numClusters = table.clusters.filter((_, i) => isShown.clusters(i)).length;
    said.textContent = text || verdict.select.value
      ? `${num} of ${counted(table.arms.length, "arm")}, ${numClusters} of ${counted(table.clusters.length, noun)}` : "";
  };
  return make("div", { class: "tools" }, make("label", {}, "Filter", box), verdict.label, said);
}

/** Shows rows, and in tables of trials columns, that are chosen. */
function filterGrid(grid, isShown) {
  const rows = grid.dataset.rows;
  const columns = grid.dataset.cells === "trials" ? { arms: "clusters", clusters: "arms" }[rows] : null;
  for (const row of [grid.tHead.rows[0], ...grid.tBodies[0].rows]) {
    if (row.dataset.place !== undefined) row.hidden = !isShown[rows](Number(row.dataset.place));
    if (columns) [...row.cells].slice(1).forEach((cell, i) => { cell.hidden = !isShown[columns](i); });
  }
}

function setUpTables() {
  for (const section of document.querySelectorAll("section[data-table]")) {
    const table = DATA.tables[Number(section.dataset.table)];
    const grids = [...section.querySelectorAll("table[data-rows]")];
    grids.forEach((grid) => {
      makeOpen(grid, table);
      makeSortable(grid);
    });
    if (grids.length) grids[0].closest(".scroll").before(makeTools(section, table, grids));
  }
}
