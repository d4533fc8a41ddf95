/** The line below the image: the pixel under the pointer, the size of the image, times, and the scale. */

import { count, get, make } from "./dom.js";
import { named } from "./panel.js";

/** @typedef {import("./api.js").Result} Result */
/** @typedef {{ label: number, confidence: number | null, item: import("./api.js").Item | null }} Pixel */

export class Readout {
  constructor() {
    this.place = get("readout", HTMLElement);
    this.hint = this.place.firstElementChild ?? "";
  }

  /**
   * @param {number | null} x null where the pointer is not on the image
   * @param {number} y
   * @param {(Pixel | null)[]} pixels one a pane
   * @param {Result[]} results
   */
  pixel(x, y, pixels, results) {
    if (x === null) {
      this.place.replaceChildren(this.hint);
      return;
    }
    const parts = pixels.flatMap((pixel, side) => (pixel && results[side] ? [this.one(pixel, results[side], side, pixels.length > 1)] : []));
    this.place.replaceChildren(make("span", { className: "number at", textContent: `${x}, ${y}` }), ...parts);
  }

  /**
   * @param {Pixel} pixel
   * @param {Result} result
   * @param {number} side
   * @param {boolean} tagged
   */
  one({ label, confidence, item }, result, side, tagged) {
    const part = make("span", { className: "pixel" });
    if (tagged) part.append(make("span", { className: side ? "tag b" : "tag", textContent: side ? "B" : "A" }));
    part.append(named(result, label));
    if (item) part.append(make("span", { className: "number", textContent: `no. ${item.id}` }));
    // Outside of objects, the service knows no probability where a model emits objects only.
    const known = confidence !== null && (item || !result.hasObjects);
    if (known) part.append(make("span", { className: "number strong", textContent: `${(100 * confidence).toFixed(0)}\u202f%` }));
    return part;
  }

  /**
   * @param {{ width: number, height: number } | null} image
   * @param {Result[]} results
   */
  facts(image, results) {
    const times = results.map(({ milliseconds }) => written(milliseconds.predict));
    const size = image ? [`${count(image.width)} × ${count(image.height)}`] : [];
    get("facts", HTMLElement).textContent = [...size, times.length ? `model ${times.join(", ")}` : ""].filter(Boolean).join("  ·  ");
  }

  /** @param {number} scale */
  scale(scale) {
    const text = `${scale < 0.1 ? (100 * scale).toFixed(1) : Math.round(100 * scale)}\u202f%`;
    const place = get("scale", HTMLElement);
    if (place.textContent !== text) place.textContent = text;
  }
}

/** @param {number} milliseconds */
function written(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)}\u202fms` : `${(milliseconds / 1000).toFixed(1)}\u202fs`;
}
