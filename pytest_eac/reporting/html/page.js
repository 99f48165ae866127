"use strict";
(() => {
  const PAGE = 50;
  const { chains, metrics } = JSON.parse(document.getElementById("data").textContent);
  const make = (tag, text, names = {}) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [name, value] of Object.entries(names)) element.setAttribute(name, value);
    return element;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });

  // A header becomes a button that says in aria-sort how its column is sorted.
  const sortable = (heads, sort) => {
    heads.forEach((head, column) => {
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        sort(column, up ? 1 : -1);
      });
    });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.sort ?? cell.firstChild?.textContent ?? "";
      return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
    };
    sortable([...table.tHead.rows[0].cells], (column, sign) => {
      const rows = [...body.rows].sort((a, b) => sign * compare(value(a, column), value(b, column)));
      body.append(...rows);
    });
  }

  const maps = document.getElementById("heat");
  if (!maps) return;
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--heat");
  for (const chain of chains) for (const [metric, heat] of Object.entries(chain.heat)) {
    if (!heat.length) continue;
    const box = make("div", null, { class: "heat" });
    const map = make("div", null, { class: "map" });
    const canvas = make("canvas");
    canvas.width = chain.edits.length;
    canvas.height = heat.length;
    const height = Math.min(18 * heat.length, 288);
    canvas.style.height = `${height}px`;
    // As many rows are labelled as have room; the last one always is.
    const every = Math.ceil(heat.length / 16);
    const labels = make("div", null, { class: "labels", "aria-hidden": "true" });
    labels.style.height = `${height}px`;
    chain.at.forEach((at, row) => {
      if ((chain.at.length - 1 - row) % every) return;
      const label = make("span", row === chain.at.length - 1 ? `after ${at}` : at);
      label.style.top = `${(100 * (row + 0.5)) / chain.at.length}%`;
      labels.append(label);
    });
    const ends = make("p", null, { class: "ends", "aria-hidden": "true" });
    ends.append(make("span", "edit 1"), make("span", `edit ${chain.edits.length}`));
    const pen = canvas.getContext("2d");
    heat.forEach((scores, row) => scores.forEach((score, edit) => {
      if (score === null) return;
      pen.fillStyle = `rgba(${colour}, ${0.08 + 0.92 * score})`;
      pen.fillRect(edit, row, 1, 1);
    }));
    const final = heat[heat.length - 1];
    const lost = final.filter((score) => score !== null && score < 1).length;
    const summary = `${chain.name}, ${metric}: ${lost} of ${final.filter((score) => score !== null).length} edits forgotten, wholly or in part, at the end; checkpoints after ${chain.at.join(", ")} edits`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", summary);
    map.append(labels, canvas, ends);
    box.append(make("p", summary), map);
    maps.append(box);
  }

  const all = chains.flatMap((chain, number) => chain.edits.map((edit, k) => ({
    ...edit, chain: number, k: k + 1,
    text: [edit.prompt, edit.target, edit.before, ...edit.misses.flatMap((miss) => [miss.prompt, miss.expected, miss.got])].join("\n").toLowerCase(),
  })));
  const share = (value) => (value === null ? "-" : `${Math.round(1000 * value) / 10}%`);
  const columns = [
    ["edit", (row) => row.k], ["chain", (row) => chains[row.chain].name],
    ["prompt and target", (row) => row.prompt], ["before", (row) => row.before ?? ""],
    ["right after", (row) => row.first ?? -1], ...metrics.map((name, k) => [name, (row) => row.last[k] ?? -1]), ["deviation", (row) => row.deviation ?? -1],
    ["seconds", (row) => row.seconds ?? -1], ["what failed", (row) => row.misses.length + row.more],
  ];
  const [body, chosen, which, find] = [document.querySelector("#rows tbody"), ...["chain", "which", "find"].map((id) => document.getElementById(id))];
  let shown = [], page = 0, order = null;
  const missing = (cell, row) => {
    if (row.by !== null) cell.append(make("span", `overwritten by edit ${row.by + 1}`, { class: "miss" }));
    if (row.excluded !== null) cell.append(make("span", `not counted: ${row.excluded}`, { class: "miss" }));
    for (const miss of row.misses) {
      const line = make("span", `${miss.metric}: ${miss.prompt} - expected `, { class: "miss" });
      line.append(make("q", miss.expected), " got ", make("q", miss.got));
      cell.append(line);
    }
    if (row.more) cell.append(make("span", `and ${row.more} more`, { class: "miss" }));
    if (!cell.childNodes.length) cell.textContent = "nothing";
  };
  const draw = () => {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const line = make("tr", "", { role: "row" });
      const cells = [row.k, chains[row.chain].name, null, row.before ?? "not recorded", share(row.first), ...row.last.map(share),
        row.deviation === null ? "-" : row.deviation.toPrecision(3), row.seconds ?? "-", null].map((text, at) => make("td", text, { role: "cell", "data-of": columns[at][0] }));
      cells[2].append(row.prompt, " → ", make("strong", row.target));
      missing(cells[cells.length - 1], row);
      line.append(...cells);
      return line;
    }));
    document.getElementById("count").textContent = `${shown.length} of ${all.length} edits` + (pages > 1 ? `, page ${page + 1} of ${pages}` : "");
    document.getElementById("back").disabled = page === 0;
    document.getElementById("on").disabled = page === pages - 1;
  };
  const select = () => {
    const wanted = find.value.trim().toLowerCase();
    shown = all.filter((row) => (chosen.value === "" || row.chain === Number(chosen.value))
      && (which.value === "all" || row.misses.length > 0 || (row.excluded === null && row.first !== null && row.first < 1)) && row.text.includes(wanted));
    if (order) shown.sort((a, b) => order.sign * compare(columns[order.column][1](a), columns[order.column][1](b)));
    page = 0;
    draw();
  };
  const head = make("tr", "", { role: "row" });
  head.append(...columns.map(([name]) => make("th", name, { scope: "col", role: "columnheader" })));
  document.querySelector("#rows thead").append(head);
  sortable([...head.cells], (column, sign) => { order = { column, sign }; select(); });
  chosen.append(make("option", "all", { value: "" }), ...chains.map((chain, k) => make("option", chain.name, { value: k })));
  for (const control of [chosen, which]) control.addEventListener("change", select);
  find.addEventListener("input", select);
  document.getElementById("back").addEventListener("click", () => { page -= 1; draw(); });
  document.getElementById("on").addEventListener("click", () => { page += 1; draw(); });
  if (!all.some((row) => row.misses.length)) which.value = "all";
  select();
})();
