/** Pixels and objects under the pointer, and the selected one: in the image, in the table, in the line below. */

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./api.js").Item} Item */

/**
 * Read the pixel under the pointer.
 * @param {App} app
 * @param {number | null} x
 * @param {number} y
 */
export function point(app, x, y) {
  const found = x === null ? [] : app.sides.map((side) => app.stage.pixel(side, x, y));
  app.readout.pixel(x, y, found, app.results);
  const item = found[app.tableSide]?.item ?? null;
  found.forEach((pixel, side) => (app.stage.hovered[side] = pixel?.item ?? null));
  if (x === null) app.stage.hovered.fill(null);
  app.table.hover(item);
}

/**
 * @param {App} app
 * @param {Item | null} item
 * @param {number} side
 */
export function hover(app, item, side) {
  app.stage.hovered.fill(null);
  app.stage.hovered[side] = item;
  app.table.hover(item);
  app.stage.request();
}

/**
 * @param {App} app
 * @param {Item | null} item
 * @param {number} side
 * @param {boolean} [move] bring it into sight
 */
export function select(app, item, side, move = false) {
  app.stage.selected.fill(null);
  app.stage.selected[side] = item;
  app.table.select(side === app.tableSide ? item : null);
  if (item && move) app.stage.view.show(item.box);
  app.stage.request();
}
