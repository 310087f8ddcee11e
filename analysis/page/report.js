"use strict";
/* One figure of a gallery at a time. */
for (const gallery of document.querySelectorAll(".gallery")) {
  const choice = gallery.querySelector("select");
  const figures = [...gallery.querySelectorAll("figure")];
  const show = () => figures.forEach((figure, i) => { figure.hidden = i !== Number(choice.value); });
  choice.addEventListener("change", show);
  show();
}

/* Brushing the parallel coordinates, and the table of trials that follows. */
(() => {
  const table = document.getElementById("trial-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const words = document.getElementById("words");
  const counted = document.getElementById("counted");
  const source = document.getElementById("coordinates-figure");
  const figure = source ? JSON.parse(source.textContent) : null;
  const element = document.getElementById("coordinates");
  const brushes = new Map(); // index of an axis -> [low, high] of positions
  const trialOf = new Map(figure ? figure.trials.map((id, i) => [id, i]) : []);

  const kept = (trial) => {
    for (const [axis, [low, high]] of brushes) {
      const at = figure.positions[trial][axis];
      if (at === null || at < low || at > high) return false;
    }
    return true;
  };

  function filterTable() {
    const asked = words.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    let left = 0;
    for (const row of rows) {
      const trial = trialOf.get(row.dataset.trial);
      const text = row.textContent.toLowerCase();
      const cells = [...row.cells].map((cell) => cell.textContent.toLowerCase());
      const named = asked.every((word) => cells.some((cell) => cell.includes(word)) || text === word);
      row.hidden = !(named && (trial === undefined || kept(trial)));
      if (!row.hidden) left += 1;
    }
    counted.textContent = `${left} of ${rows.length} ${counted.dataset.noun}`;
  }

  /* Lines that are not kept, pale and behind all others. */
  function traces() {
    if (!brushes.size) return figure.data;
    const pale = { x: [], y: [], customdata: [], type: "scatter", mode: "lines", hoverinfo: "skip",
      line: { color: "#e3e6ea", width: 1 }, showlegend: false, connectgaps: false };
    const clear = figure.data.map((trace) => {
      const part = { ...trace, x: [], y: [], customdata: [] };
      trace.customdata.forEach((trial, i) => {
        const into = kept(trial) ? part : pale;
        into.x.push(trace.x[i]);
        into.y.push(trace.y[i]);
        into.customdata.push(trial);
      });
      return part;
    });
    return [pale, ...clear];
  }

  function shapes() {
    const bars = [...brushes].map(([axis, [low, high]]) => ({
      type: "rect", x0: axis - 0.07, x1: axis + 0.07, y0: low, y1: high, layer: "above",
      fillcolor: "rgba(0,114,178,0.35)", line: { color: "#0072B2", width: 1 } }));
    return [...figure.layout.shapes, ...bars];
  }

  function said(axis, [low, high]) {
    const { name, ticks, inactive, scale, log } = figure.axes[axis];
    const inside = ticks.filter(([at]) => at >= low && at <= high).map(([, label]) => label);
    if (inactive && low <= -0.16 && high >= -0.16) inside.unshift(inactive);
    if (!scale || high < 0) return `${name}: ${inside.join(", ") || "nothing"}`;
    const [first, last] = scale;
    const value = (at) => {
      const part = Math.min(Math.max(at, 0), 1);
      const exact = log ? first * (last / first) ** part : first + (last - first) * part;
      return String(Number(exact.toPrecision(3)));
    };
    const also = inactive && low <= -0.16 ? `, ${inactive}` : "";
    return `${name}: ${value(low)} to ${value(high)}${also}`;
  }

  function listBrushes() {
    const list = document.getElementById("brushes");
    const buttons = [...brushes].map(([axis, range]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${said(axis, range)}  \u00d7`;
      button.title = "Remove this filter";
      button.addEventListener("click", () => { brushes.delete(axis); update(); });
      return button;
    });
    list.replaceChildren(...buttons);
  }

  function update() {
    listBrushes();
    filterTable();
    const layout = { ...figure.layout, width: width(), shapes: shapes(), selections: [] };
    return Plotly.react(element, traces(), layout, config);
  }

  function brushed(event) {
    if (!event || !event.range) return;
    const [left, right] = [...event.range.x].sort((a, b) => a - b);
    const [low, high] = [...event.range.y].sort((a, b) => a - b);
    const last = figure.axes.length - 1;
    const inside = [...figure.axes.keys()].filter((axis) => axis >= left && axis <= right);
    const nearest = Math.min(last, Math.max(0, Math.round((left + right) / 2)));
    for (const axis of inside.length ? inside : [nearest]) brushes.set(axis, [low, high]);
    setTimeout(update, 0);
  }

  const config = { displayModeBar: false, doubleClick: false, responsive: false };
  const width = () => Math.max(element.parentElement.clientWidth, 84 * figure.axes.length);

  function drawLegend() {
    const { colours, low, high, score, outcomes, explorers } = figure.legend;
    const item = (...parts) => {
      const span = document.createElement("span");
      span.append(...parts);
      return span;
    };
    const piece = (name, property, colour) => {
      const part = document.createElement(name);
      part.style[property] = colour;
      return part;
    };
    const items = outcomes.map(([outcome, colour]) => item(piece("b", "borderTopColor", colour), outcome));
    if (colours.length) {
      const bar = colours.map((colour) => piece("i", "background", colour));
      items.unshift(item(`${score}: ${low}`, ...bar, "\u00a0", high));
    }
    if (explorers) items.push(item("\u25c6 explorer"));
    document.getElementById("legend").replaceChildren(...items);
  }

  function point(trial) {
    for (const row of rows) row.classList.toggle("pointed", row.dataset.trial === trial);
    const row = rows.find((r) => r.dataset.trial === trial);
    if (!row) return;
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const cells = [...row.cells].map((cell) => cell.textContent);
    document.getElementById("hovered").textContent =
      cells.map((cell, i) => (i ? `${heads[i]} ${cell}` : cell)).slice(0, 6).join(" · ");
  }

  function sortBy(column) {
    const head = table.tHead.rows[0].cells[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => {
      const whole = row.cells[column].textContent;
      const text = (/^-?[\d.]+(?= \[)/.exec(whole) || [whole])[0]; // without its interval
      return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
    };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x === typeof y) return (x > y) - (x < y);
      return typeof x === "number" ? -1 : 1;
    };
    body.append(...[...rows].sort((a, b) => (down ? -order(a, b) : order(a, b))));
  }

  words.addEventListener("input", filterTable);
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    cell.title = "Sort by this column";
    cell.addEventListener("click", () => sortBy(i));
  });
  if (!figure) return;
  drawLegend();
  update().then(() => {
    element.on("plotly_selected", brushed);
    element.on("plotly_hover", (event) => point(figure.trials[event.points[0].customdata]));
    element.dataset.drawn = "true";
  });
  window.addEventListener("resize", () => Plotly.relayout(element, { width: width() }));
})();
