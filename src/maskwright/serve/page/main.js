/** Ties the elements of the page and the keys to what the page does. */

import { App } from "./app.js";
import { choosePartner } from "./compare.js";
import { choose, chosen, get, make } from "./dom.js";
import { listen, showKeys } from "./keys.js";
import { askToken, showError } from "./notice.js";
import { classNames } from "./panel.js";
import { save } from "./save.js";
import { select } from "./selection.js";

const PAN_PX = 60;
const ZOOM = 1.25;

const app = new App();
const { stage, show } = app;
const { view } = stage;

const opacity = get("opacity", HTMLInputElement);
const split = get("split", HTMLInputElement);
const differences = get("differences", HTMLInputElement);
const divider = get("divider", HTMLElement);
const file = get("file", HTMLInputElement);
const menu = get("save", HTMLDetailsElement);
const selects = [get("model-a", HTMLSelectElement), get("model-b", HTMLSelectElement)];

/** @param {string} id @param {() => void} action */
const click = (id, action) => get(id, HTMLElement).addEventListener("click", action);

// Images

/** @param {Iterable<File> | null | undefined} files */
function openFirst(files) {
  const [first] = files ?? [];
  if (first) app.open(first, first.name);
}

click("open", () => file.click());
click("choose", () => file.click());
file.addEventListener("change", () => {
  openFirst(file.files);
  file.value = "";
});
click("previous", () => app.gallery.step(-1));
click("next", () => app.gallery.step(1));
document.addEventListener("paste", (event) => openFirst(event.clipboardData?.files));

let inside = 0;
/** @param {number} step */
const dragging = (step) => {
  inside = Math.max(0, inside + step);
  get("drop", HTMLElement).hidden = !inside;
};
document.addEventListener("dragenter", (event) => {
  event.preventDefault();
  dragging(1);
});
document.addEventListener("dragleave", () => dragging(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  dragging(-inside);
  openFirst(event.dataTransfer?.files);
});

// Models

document.addEventListener("models", () => {
  selects.forEach((select, side) => {
    select.replaceChildren(...app.models.map(({ name }) => make("option", { value: name, textContent: name, selected: name === app.chosen[side] })));
  });
  const several = app.models.length > 1;
  get("compare", HTMLElement).hidden = !several;
  get("pick-b", HTMLElement).hidden = get("swap", HTMLElement).hidden = get("side-b", HTMLElement).hidden = !app.comparing;
  get("tag-a", HTMLElement).hidden = get("differences-row", HTMLElement).hidden = !app.comparing;
  get("objects-side", HTMLElement).hidden = !app.comparing;
  get("compare", HTMLElement).setAttribute("aria-pressed", String(app.comparing));
  ["corner-a", "corner-b"].forEach((id, side) => {
    const corner = get(id, HTMLElement);
    corner.textContent = `${"AB"[side]}  ${app.chosen[side]}`;
    corner.hidden = !app.comparing;
  });
});

/** @param {number} side @param {string} name */
function chooseModel(side, name) {
  app.chosen[side] = name;
  app.changedModels();
  app.predict(side);
}

selects.forEach((select, side) => select.addEventListener("change", () => chooseModel(side, select.value)));
click("swap", () => {
  app.chosen.reverse();
  app.changedModels();
  app.predict(0);
  app.predict(1);
});

function toggleCompare() {
  if (app.models.length < 2) return;
  app.comparing = !app.comparing;
  if (app.comparing) choosePartner(app);
  stage.sides = app.comparing ? 2 : 1;
  app.tableSide = 0;
  choose("side", "0");
  app.changedModels();
  stage.resize();
  view.fit(false);
  if (app.comparing) app.predict(1);
  else app.drop(1);
}
click("compare", toggleCompare);

for (const radio of document.querySelectorAll('input[name="side"]')) {
  radio.addEventListener("change", () => {
    app.tableSide = Number(chosen("side"));
    select(app, null, app.tableSide);
    app.changed();
  });
}

// Display

/** @param {number} value from 0 to 1 */
function setOpacity(value) {
  show.opacity = Math.min(1, Math.max(0, value));
  app.opacities[Number(show.outlines)] = show.opacity;
  opacity.value = String(Math.round(100 * show.opacity));
  get("opacity-value", HTMLElement).textContent = `${opacity.value}\u202f%`;
  stage.request();
}
opacity.addEventListener("input", () => setOpacity(Number(opacity.value) / 100));

function changedStyle() {
  show.outlines = chosen("style") === "outlines";
  setOpacity(app.opacities[Number(show.outlines)]);
  app.repaint();
}
function changedColour() {
  app.byObject = chosen("colour") === "object";
  app.repaint();
  app.changed();
}
for (const radio of document.querySelectorAll('input[name="style"]')) radio.addEventListener("change", changedStyle);
for (const radio of document.querySelectorAll('input[name="colour"]')) radio.addEventListener("change", changedColour);

/** @param {boolean} on */
function setSplit(on) {
  show.split = split.checked = on;
  divider.hidden = !on;
  moveDivider(stage.splitAt);
}
split.addEventListener("change", () => setSplit(split.checked));

/** @param {number} share of the width of a pane */
function moveDivider(share) {
  stage.splitAt = Math.min(1, Math.max(0, share));
  divider.style.setProperty("--at", String(stage.splitAt));
  divider.setAttribute("aria-valuenow", String(Math.round(100 * stage.splitAt)));
  stage.request();
}
divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
divider.addEventListener("pointermove", (event) => {
  if (!divider.hasPointerCapture(event.pointerId)) return;
  const box = stage.panes[0].canvas.getBoundingClientRect();
  moveDivider((event.clientX - box.left) / box.width);
});
divider.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  moveDivider(stage.splitAt + step);
});

differences.addEventListener("change", () => {
  show.differences = differences.checked;
  stage.request();
});

// View

const middle = () => /** @type {const} */ ([view.pane.width / 2, view.pane.height / 2]);
const actual = () => view.zoom(1 / view.target.scale, ...middle(), true);
click("zoom-in", () => view.zoom(ZOOM, ...middle(), true));
click("zoom-out", () => view.zoom(1 / ZOOM, ...middle(), true));
click("actual", actual);
click("fit", () => view.fit());

// Saving, help, token

for (const button of menu.querySelectorAll("button")) {
  button.addEventListener("click", async () => {
    menu.open = false;
    for (const shown of stage.shown) {
      if (!shown || !app.source) continue;
      try {
        await save(button.dataset.save ?? "", shown, stage.image, show.opacity, app.source.name);
      } catch (error) {
        showError(error, null);
      }
    }
  });
}
document.addEventListener("pointerdown", (event) => {
  if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
});
const help = get("keys", HTMLDialogElement);
click("help", () => help.showModal());
showKeys(get("key-table", HTMLElement));
help.addEventListener("click", (event) => {
  if (event.target === help) help.close();
});
// A button that submits would be the one that Enter presses in the field.
click("token-close", () => get("token-dialog", HTMLDialogElement).close());
click("key", async () => {
  if (await askToken(false)) app.start();
});

// Keys

/** @param {string} name of radio buttons */
function other(name) {
  const values = [...document.querySelectorAll(`input[name="${name}"]`)].map((radio) => /** @type {HTMLInputElement} */ (radio).value);
  choose(name, values[(values.indexOf(chosen(name)) + 1) % values.length]);
}

/** @param {number} index of a class */
function toggleClass(index) {
  const name = classNames(app.results)[index];
  if (name !== undefined) app.toggle(name, app.hidden.has(name), false);
}

/** @param {number} step */
function selectBeside(step) {
  select(app, app.table.beside(step), app.tableSide, true);
}

listen(
  {
    previous: () => app.gallery.step(-1),
    next: () => app.gallery.step(1),
    open: () => file.click(),
    save: () => {
      menu.open = !menu.open;
      if (menu.open) menu.querySelector("button")?.focus();
    },
    pan: ({ key, shiftKey }) => {
      const far = PAN_PX * (shiftKey ? 4 : 1);
      const x = { ArrowLeft: far, ArrowRight: -far }[key] ?? 0;
      const y = { ArrowUp: far, ArrowDown: -far }[key] ?? 0;
      view.pan(x, y, true);
    },
    larger: () => view.zoom(ZOOM, ...middle(), true),
    smaller: () => view.zoom(1 / ZOOM, ...middle(), true),
    fit: () => view.fit(),
    actual,
    class: ({ key }) => toggleClass((Number(key) + 9) % 10),
    all: () => {
      const names = classNames(app.results);
      const on = names.every((name) => app.hidden.has(name));
      for (const name of names) app.hidden[on ? "delete" : "add"](name);
      app.repaint();
      app.changed();
    },
    fainter: () => setOpacity(show.opacity - 0.05),
    stronger: () => setOpacity(show.opacity + 0.05),
    style: () => {
      other("style");
      changedStyle();
    },
    colour: () => {
      other("colour");
      changedColour();
    },
    split: () => setSplit(!show.split),
    splitLeft: () => moveDivider(stage.splitAt - 0.02),
    splitRight: () => moveDivider(stage.splitAt + 0.02),
    nextObject: () => selectBeside(1),
    previousObject: () => selectBeside(-1),
    model: () => {
      const names = app.models.map(({ name }) => name);
      if (names.length > 1) chooseModel(0, names[(names.indexOf(app.chosen[0]) + 1) % names.length]);
    },
    compare: toggleCompare,
    differences: () => {
      differences.checked = show.differences = !show.differences;
      stage.request();
    },
    help: () => help.showModal(),
    escape: () => {
      if (menu.open) menu.open = false;
      else select(app, null, app.tableSide);
    },
  },
  { hold: (held) => app.hold(held) },
);

app.start();
