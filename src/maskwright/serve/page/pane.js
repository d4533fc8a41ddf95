/** One canvas with an image, a mask over it, and marks. Draws no more pixels than the pane has. */

import { css } from "./colours.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./layers.js").ImageLayers} ImageLayers */
/** @typedef {import("./layers.js").DrawnLayers} DrawnLayers */
/** @typedef {import("./api.js").Item} Item */
/**
 * What a pane shows.
 * @typedef {object} Scene
 * @property {ImageLayers | null} image
 * @property {DrawnLayers | null} mask
 * @property {DrawnLayers | null} differences
 * @property {number} opacity of the mask
 * @property {boolean} outlines
 * @property {number | null} split share of the width from which the mask is shown; null for all of it
 * @property {Item | null} hovered
 * @property {Item | null} selected
 * @property {{ x: number, y: number } | null} pointer a point of the image to mark
 */

/** From this scale on, pixels are shown as squares. */
const SQUARES = 3;

export class Pane {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const context = canvas.getContext("2d", { alpha: true });
    if (!context) throw new Error("this browser gives no canvas");
    this.context = context;
    this.ratio = 1;
  }

  /** Follow the size of the element. */
  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = Math.min(3, devicePixelRatio || 1);
    this.canvas.width = Math.max(1, Math.round(clientWidth * this.ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * this.ratio));
  }

  /**
   * @param {View} view
   * @param {Scene} scene
   */
  draw(view, scene) {
    const { context, canvas, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!scene.image) return;
    const scale = view.scale * ratio;
    // On whole pixels of the screen, an image at 100 % is as sharp as its file.
    const left = Math.round(canvas.width / 2 - view.x * scale);
    const top = Math.round(canvas.height / 2 - view.y * scale);
    context.setTransform(scale, 0, 0, scale, left, top);
    this.place(scene.image, Math.floor(Math.log2(1 / scale) + 0.05), scale);
    if (scene.mask || scene.differences) this.drawMasks(scene, scale);
    context.setTransform(scale, 0, 0, scale, left, top);
    if (scene.selected) this.mark(scene.selected, scale, true);
    if (scene.hovered && scene.hovered !== scene.selected) this.mark(scene.hovered, scale, false);
    if (scene.pointer) this.cross(scene.pointer, scale);
  }

  /**
   * @param {Scene} scene
   * @param {number} scale
   */
  drawMasks(scene, scale) {
    const { context, canvas } = this;
    context.save();
    if (scene.split !== null) {
      const placed = context.getTransform();
      const from = Math.round(scene.split * canvas.width);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.beginPath();
      context.rect(from, 0, canvas.width - from, canvas.height);
      context.clip();
      context.setTransform(placed);
    }
    // An outline is one pixel of its level wide: at least one CSS pixel on the screen.
    const wanted = scene.outlines ? Math.ceil(Math.log2(this.ratio / scale) - 0.05) : Math.floor(Math.log2(1 / scale) + 0.05);
    if (scene.mask) this.place(scene.mask, wanted, scale, scene.opacity);
    if (scene.differences) this.place(scene.differences, Math.ceil(Math.log2(this.ratio / scale) - 0.05), scale);
    context.restore();
  }

  /**
   * @param {ImageLayers | DrawnLayers} layers
   * @param {number} wanted level
   * @param {number} scale device pixels that a pixel of the image takes
   * @param {number} [alpha]
   */
  place(layers, wanted, scale, alpha = 1) {
    const drawn = layers.at(wanted);
    if (!drawn) return;
    const { bitmap, width, height } = drawn;
    this.context.globalAlpha = alpha;
    this.context.imageSmoothingEnabled = (scale * width) / bitmap.width < SQUARES;
    this.context.imageSmoothingQuality = "low";
    this.context.drawImage(bitmap, 0, 0, width, height);
    this.context.globalAlpha = 1;
  }

  /**
   * Outline one object in white on black, which is seen on any colour.
   * @param {Item} item
   * @param {number} scale
   * @param {boolean} strong
   */
  mark(item, scale, strong) {
    const { context, ratio } = this;
    const path = pathOf(item);
    context.lineJoin = "round";
    if (strong) {
      context.fillStyle = "rgb(255 255 255 / 18%)";
      context.fill(path, "evenodd");
    }
    for (const [width, colour] of /** @type {const} */ ([[strong ? 5 : 4, "rgb(0 0 0 / 75%)"], [strong ? 2.5 : 1.75, css([255, 255, 255])]])) {
      context.lineWidth = (width * ratio) / scale;
      context.strokeStyle = colour;
      context.stroke(path);
    }
  }

  /**
   * @param {{ x: number, y: number }} point
   * @param {number} scale
   */
  cross({ x, y }, scale) {
    const { context, ratio } = this;
    const arm = (7 * ratio) / scale;
    for (const [width, colour] of /** @type {const} */ ([[3, "rgb(0 0 0 / 70%)"], [1.25, "#fff"]])) {
      context.lineWidth = (width * ratio) / scale;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x - arm, y);
      context.lineTo(x + arm, y);
      context.moveTo(x, y - arm);
      context.lineTo(x, y + arm);
      context.stroke();
    }
  }
}

/** @type {WeakMap<Item, Path2D>} */
const paths = new WeakMap();

/**
 * @param {Item} item
 * @returns {Path2D} its rings, in pixels of the image
 */
function pathOf(item) {
  const known = paths.get(item);
  if (known) return known;
  const path = new Path2D();
  for (const ring of item.rings) {
    ring.forEach(([x, y], index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  paths.set(item, path);
  return path;
}
