/** Two models on one image: which ones, and where their results differ. */

import { get } from "./dom.js";
import { Caller, DrawnLayers } from "./layers.js";
import { showError } from "./notice.js";
import { showDifferences } from "./panel.js";

/** @typedef {import("./app.js").App} App */

// As a canvas stores them.
const HATCH = { light: 0xffffffff, dark: 0xff101010 };

/**
 * Compare with a model of the same classes, where there is one and the user has not chosen another.
 * @param {App} app
 */
export function choosePartner(app) {
  const own = app.model(0);
  const others = app.models.filter((other) => other !== own);
  if (own?.name !== app.chosen[1] && app.known.has("partner")) return;
  app.known.add("partner");
  const alike = others.find(({ task, classes }) => task === own?.task && names(classes) === names(own.classes));
  app.chosen[1] = (alike ?? others[0]).name;
}

/** @param {import("./api.js").ClassEntry[]} classes */
function names(classes) {
  return classes.map(({ name }) => name).join("\n");
}

/**
 * Compare the results of both panes.
 * @param {App} app
 */
export async function differ(app) {
  const [a, b] = app.stage.shown;
  if (!app.comparing || !a || !b) return;
  const { width, height } = a.result;
  if (width !== b.result.width || height !== b.result.height) {
    showError(new Error("the two models turn this image differently, so their results cannot be compared"), null);
    return;
  }
  const caller = new Caller();
  const meaning = new Uint8Array(256).fill(254);
  for (const { index, name } of b.result.classes) {
    meaning[index] = a.result.classes.find((entry) => entry.name === name)?.index ?? 254;
  }
  meaning[255] = 255;
  const pairs = await caller.call("compare", { width, height, a: a.pixels.labels, b: b.pixels.labels, meaning });
  if (app.stage.shown[0] !== a || app.stage.shown[1] !== b) {
    caller.close();
    return;
  }
  app.stage.differences?.close();
  app.stage.differences = new DrawnLayers(caller, a.result, () => app.stage.request());
  app.stage.draw(); // says which level is wanted first
  app.stage.differences.draw("hatch", HATCH);
  showDifferences(a.result, b.result, pairs);
  get("differing", HTMLElement).hidden = false;
  app.stage.request();
}
