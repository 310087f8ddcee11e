"use strict";
/* The browser of images: a class or a confusion is chosen, a slider blends image and map. */
(() => {
  const root = document.getElementById("browser");
  if (!root) return;
  const data = JSON.parse(document.getElementById("browser-data").textContent);
  const part = (name) => document.getElementById(`browser-${name}`);
  const MATRIX = 25; // classes; beyond, the lists of a class name its confusions
  const cells = new Map(data.cells.map((cell) => [`${cell[0]} ${cell[1]}`, cell]));
  let pressed = [];

  function make(tag, content, className) {
    const made = document.createElement(tag);
    made.append(...(Array.isArray(content) ? content : [content ?? ""]));
    if (className) made.className = className;
    return made;
  }

  function picture(source, alt, className) {
    const made = document.createElement("img");
    made.src = source;
    made.alt = alt;
    if (className) made.className = className;
    return made;
  }

  /* Every image takes the chosen map; a hit has one map only, that of its class. */
  function drawMaps() {
    const kind = part("map").value;
    const opacity = String(Number(part("blend").value) / 100);
    for (const tile of part("shown").querySelectorAll(".tile")) {
      const { maps } = data.images[tile.dataset.image];
      const chosen = maps[kind] ? kind : "predicted";
      const map = maps[chosen];
      if (!map) continue;
      const over = tile.querySelector(".map");
      over.src = map[0];
      over.style.opacity = opacity;
      const note = chosen === kind ? "" : " (a hit: one map)";
      const bar = picture(data.scales[chosen], "", "");
      tile.querySelector(".scale").replaceChildren(map[1], bar, map[2] + note);
    }
  }

  function tile(index) {
    const { name, true: label, said, confidence, image, maps } = data.images[index];
    const right = label === said;
    const told = right ? "recognised" : `taken for ${data.classes[said]}`;
    const smooth = image.startsWith("data:image/jpeg") ? "smooth" : "";
    const stack = make("div", [picture(image, `${data.classes[label]}, ${told}: ${name}`, smooth)], "stack");
    if (maps.predicted) stack.append(picture(maps.predicted[0], "", "map"));
    const caption = make("figcaption", [
      make("span", `${data.classes[said]}: ${confidence} %`, "said"), make("br"), name]);
    const made = make("figure", [stack, make("div", "", "scale"), caption], `tile ${right ? "hit" : "error"}`);
    made.dataset.image = index;
    return made;
  }

  function group(title, indices, empty) {
    const heading = make("h3", title);
    return indices.length
      ? [heading, make("div", indices.map(tile), "tiles")]
      : [heading, make("p", empty, "note")];
  }

  function press(...buttons) {
    for (const button of pressed) button.setAttribute("aria-pressed", "false");
    pressed = buttons;
    for (const button of pressed) button.setAttribute("aria-pressed", "true");
  }

  function showCell(label, said, button) {
    const [, , count, indices] = cells.get(`${label} ${said}`);
    const title = `${data.classes[label]} taken for ${data.classes[said]}: ${indices.length} of ${count}`;
    part("shown").replaceChildren(...group(title, indices, "No image of this rare confusion is on the page; evaluation.npz names all."));
    press(button);
    drawMaps();
    part("shown").scrollIntoView({ block: "nearest" });
  }

  function cellButton(text, label, said, name) {
    const button = make("button", text);
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", name);
    button.addEventListener("click", () => showCell(label, said, button));
    return button;
  }

  function listed(title, found, other) {
    if (!found.length) return [];
    const buttons = found.slice(0, 12).map(([label, said, count]) => {
      const text = `${data.classes[other(label, said)]} ${count}`;
      return cellButton(text, label, said, `${data.classes[label]} taken for ${data.classes[said]}: ${count}`);
    });
    return [make("span", title), ...buttons];
  }

  function showClass(label) {
    const numbers = data.numbers[label].map(([name, value]) =>
      make("div", [make("dt", name), make("dd", value)]));
    part("numbers").replaceChildren(...numbers);
    const name = data.classes[label];
    part("taken").replaceChildren(
      ...listed("Taken for:", data.cells.filter((c) => c[0] === label), (_, said) => said),
      ...listed("Taken for it:", data.cells.filter((c) => c[1] === label), (own) => own));
    part("shown").replaceChildren(
      ...group(`${name}: worst`, data.worst[label], "No image of this class."),
      ...group(`${name}: best`, data.best[label], "None is recognised."));
    press();
    drawMaps();
  }

  function matrix() {
    if (data.classes.length > MATRIX) return;
    const corner = make("th", "true \u2193  predicted \u2192");
    const heads = data.classes.map((name) => make("th", name));
    for (const head of heads) head.scope = "col";
    const rows = data.classes.map((name, label) => {
      const head = make("th", name);
      head.scope = "row";
      const row = data.classes.map((other, said) => {
        const cell = cells.get(`${label} ${said}`);
        if (label === said) return make("td", String(data.hits[label]));
        if (!cell) return make("td", "");
        return make("td", [cellButton(String(cell[2]), label, said, `${name} taken for ${other}: ${cell[2]}`)]);
      });
      return make("tr", [head, ...row]);
    });
    const table = make("table", [
      make("thead", [make("tr", [corner, ...heads])]), make("tbody", rows)]);
    part("matrix").replaceChildren(
      make("p", "Confusion matrix: choose a cell to see its images.", "caption"), table);
  }

  const choice = part("class");
  choice.append(...data.classes.map((name, label) => {
    const option = make("option", name);
    option.value = label;
    return option;
  }));
  choice.addEventListener("change", () => showClass(Number(choice.value)));
  part("map").addEventListener("change", drawMaps);
  part("blend").addEventListener("input", drawMaps);
  for (const name of ["map-choice", "blend-choice"]) part(name).hidden = !data.maps;
  part("note").textContent = `${data.maps} ${data.verdict}`.trim();
  root.hidden = false;
  matrix();
  showClass(0);
})();
