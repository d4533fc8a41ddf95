/** The panes: one view on all of them, frames when something changed, the pixel under the pointer. */

import { attachGestures } from "./gestures.js";
import { Pane } from "./pane.js";
import { View } from "./view.js";

/** @typedef {import("./api.js").Item} Item */
/** @typedef {import("./api.js").Result} Result */
/** @typedef {import("./layers.js").DrawnLayers} DrawnLayers */
/** @typedef {import("./layers.js").ImageLayers} ImageLayers */
/** @typedef {{ labels: Uint8Array, ids: Uint32Array | null, confidence: Uint8Array | null }} Pixels */
/** @typedef {{ result: Result, pixels: Pixels, mask: DrawnLayers, items: Map<number, Item> }} Shown */
/**
 * @typedef {object} Show
 * @property {number} opacity
 * @property {boolean} outlines
 * @property {boolean} split
 * @property {boolean} differences
 * @property {boolean} held the original is held
 */

export class Stage {
  /**
   * @param {HTMLCanvasElement[]} canvases
   * @param {Show} show
   * @param {{ point: (x: number | null, y: number) => void, pick: (side: number, x: number, y: number) => void,
   *     moved: (view: View) => void, hold: (held: boolean) => void }} listener
   */
  constructor(canvases, show, listener) {
    this.show = show;
    this.listener = listener;
    this.panes = canvases.map((canvas) => new Pane(canvas));
    this.view = new View(() => this.request());
    this.sides = 1;
    /** @type {ImageLayers | null} */
    this.image = null;
    /** @type {(Shown | null)[]} */
    this.shown = canvases.map(() => null);
    /** @type {DrawnLayers | null} */
    this.differences = null;
    this.splitAt = 0.5;
    /** @type {(Item | null)[]} */
    this.hovered = canvases.map(() => null);
    /** @type {(Item | null)[]} */
    this.selected = canvases.map(() => null);
    /** @type {{ side: number, x: number, y: number } | null} */
    this.pointer = null;
    this.asked = false;
    canvases.forEach((canvas, side) => this.attach(canvas, side));
    new ResizeObserver(() => this.resize()).observe(/** @type {HTMLElement} */ (canvases[0].parentElement));
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number} side
   */
  attach(canvas, side) {
    attachGestures(canvas, this.view, {
      hover: (at) => this.point(side, at),
      hold: (held) => this.listener.hold(held),
      click: (at) => {
        this.point(side, at);
        const { x, y } = this.view.imagePoint(at.x, at.y);
        this.listener.pick(side, Math.floor(x), Math.floor(y));
      },
    });
  }

  /**
   * @param {number} side
   * @param {{ x: number, y: number } | null} at
   */
  point(side, at) {
    const { image } = this;
    const found = at && this.view.imagePoint(at.x, at.y);
    const inside = found && image && found.x >= 0 && found.y >= 0 && found.x < image.width && found.y < image.height;
    this.pointer = inside ? { side, ...found } : null;
    if (inside) this.listener.point(Math.floor(found.x), Math.floor(found.y));
    else this.listener.point(null, 0);
    this.request();
  }

  resize() {
    for (const pane of this.panes.slice(0, this.sides)) pane.resize();
    const { clientWidth, clientHeight } = this.panes[0].canvas;
    if (clientWidth && clientHeight) this.view.resize({ width: clientWidth, height: clientHeight });
    // A canvas that changes its size is empty: it must be drawn before it is shown.
    this.draw();
  }

  /** Draw with the next frame. */
  request() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((now) => {
      this.asked = false;
      if (this.view.step(now)) this.request();
      this.draw();
    });
  }

  draw() {
    const { show, image } = this;
    for (let side = 0; side < this.sides; side++) {
      const hidden = show.held;
      this.panes[side].draw(this.view, {
        image,
        mask: hidden ? null : (this.shown[side]?.mask ?? null),
        differences: hidden || !show.differences ? null : this.differences,
        opacity: show.opacity,
        outlines: show.outlines,
        split: show.split ? this.splitAt : null,
        hovered: hidden ? null : this.hovered[side],
        selected: hidden ? null : this.selected[side],
        pointer: this.pointer && this.pointer.side !== side ? this.pointer : null,
      });
    }
    this.listener.moved(this.view);
  }

  /**
   * @param {number} side
   * @param {number} x
   * @param {number} y
   * @returns {{ label: number, confidence: number | null, item: Item | null } | null}
   */
  pixel(side, x, y) {
    const shown = this.shown[side];
    if (!shown || x < 0 || y < 0 || x >= shown.result.width || y >= shown.result.height) return null;
    const { labels, ids, confidence } = shown.pixels;
    const index = y * shown.result.width + x;
    return {
      label: labels[index],
      confidence: confidence ? confidence[index] / 255 : null,
      item: (ids && shown.items.get(ids[index])) ?? null,
    };
  }
}
