/** Beside the image: areas of the classes, and what differs between two models. */

import { css } from "./colours.js";
import { count, get, make, percent } from "./dom.js";

/** @typedef {import("./api.js").Result} Result */

const DIGITS = "1234567890";

/**
 * Names of all classes of some results, in their order: those of the first result, then what others add.
 * @param {Result[]} results
 */
export function classNames(results) {
  return [...new Set(results.flatMap(({ classes }) => classes.map(({ name }) => name)))];
}

/**
 * @param {Result[]} results one, or those of two models
 * @param {Set<string>} hidden names of classes
 * @param {(name: string, shown: boolean, only: boolean) => void} toggle
 */
export function showClasses(results, hidden, toggle) {
  const place = get("classes", HTMLElement);
  const focused = document.activeElement instanceof HTMLInputElement ? document.activeElement.value : null;
  const head = results.length > 1 ? [tag("A"), tag("B")] : ["Area", "Pixels"];
  const rows = classNames(results).map((name, index) => {
    const found = results.map(({ classes }) => classes.find((entry) => entry.name === name));
    const color = found.find(Boolean)?.color ?? [128, 128, 128];
    const box = make("input", { type: "checkbox", checked: !hidden.has(name), value: name });
    box.addEventListener("change", () => toggle(name, box.checked, false));
    const swatch = make("span", { className: "swatch" });
    swatch.style.setProperty("--colour", css(color));
    const label = make("label", {}, [box, swatch, make("span", { className: "text", textContent: name, title: name })]);
    if (index < DIGITS.length) label.append(make("kbd", { textContent: DIGITS[index], ariaHidden: "true" }));
    label.addEventListener("dblclick", () => toggle(name, true, true));
    const cells = results.length > 1
      ? found.map((entry) => (entry ? percent(entry.share) : "–"))
      : [percent(found[0]?.share ?? 0), count(found[0]?.pixels ?? 0)];
    return make("tr", {}, [make("th", { scope: "row" }, [label]), ...cells.map((text) => make("td", { className: "n", textContent: text }))]);
  });
  const names = [make("th", { scope: "col", textContent: "Class" }), ...head.map((part) => make("th", { scope: "col", className: "n" }, [part]))];
  place.replaceChildren(make("table", {}, [make("thead", {}, [make("tr", {}, names)]), make("tbody", {}, rows)]));
  if (focused !== null) [...place.querySelectorAll("input")].find(({ value }) => value === focused)?.focus();
}

/** @param {"A" | "B"} side */
function tag(side) {
  return make("span", { className: side === "A" ? "tag" : "tag b", textContent: side });
}

/**
 * @param {Result} a
 * @param {Result} b
 * @param {Uint32Array} pairs pixels (256 x 256) of label of `a`, label of `b`, where they differ
 */
export function showDifferences(a, b, pairs) {
  const total = a.width * a.height;
  const found = [];
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      const pixels = pairs[(first << 8) | second];
      if (pixels) found.push({ first, second, pixels });
    }
  }
  found.sort((x, y) => y.pixels - x.pixels);
  const sum = found.reduce((so, { pixels }) => so + pixels, 0);
  const objects = a.hasObjects && b.hasObjects ? [make("br"), `Objects: ${count(a.objects.length)} (A), ${count(b.objects.length)} (B)`] : [];
  get("differing-total", HTMLElement).replaceChildren(
    make("strong", { textContent: percent(sum / total) }),
    sum ? ` of the pixels differ (${count(sum)})` : " of the pixels differ: both models agree",
    ...objects,
  );
  const rows = found.slice(0, 20).map(({ first, second, pixels }) =>
    make("tr", {}, [
      make("td", {}, [named(a, first)]),
      make("td", {}, [named(b, second)]),
      make("td", { className: "n", textContent: count(pixels) }),
      make("td", { className: "n", textContent: percent(pixels / total) }),
    ]),
  );
  const table = get("differing-table", HTMLTableElement);
  table.tBodies[0].replaceChildren(...rows);
  /** @type {HTMLElement} */ (table.parentElement).hidden = !rows.length;
}

/**
 * @param {Result} result
 * @param {number} label
 */
export function named({ classes }, label) {
  const found = classes.find(({ index }) => index === label);
  const swatch = make("span", { className: "swatch" });
  swatch.style.setProperty("--colour", css(found?.color ?? [128, 128, 128]));
  const name = found?.name ?? "no class";
  const text = make("span", { className: "text", textContent: name, title: name });
  return make("span", { className: "named" }, [swatch, text]);
}

/**
 * Say in words what a pane shows, for those who cannot see it.
 * @param {string} name
 * @param {Result} result
 */
export function described(name, { model, classes, objects, hasObjects }) {
  const areas = classes.filter(({ pixels, background }) => pixels && !background).map((entry) => `${entry.name} ${(100 * entry.share).toFixed(1)} %`);
  const found = hasObjects ? `, ${count(objects.length)} objects` : "";
  return `${name}, segmented by ${model}: ${areas.join(", ") || "nothing found"}${found}`;
}
