/**
 * Which part of an image is seen, and how large. Knows no canvas and no event.
 *
 * `x`, `y` is the point of the image (in its pixels) at the centre of a pane, `scale` the CSS pixels that one pixel of
 * the image takes. Panes that share a view move together.
 */

export const LARGEST_SCALE = 64;
const SMALLEST_SHARE = 0.5;
const MARGIN = 0.96;
const MOVE_MS = 140;

/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ scale: number, x: number, y: number }} Place */

export class View {
  /** @param {() => void} changed called after every change */
  constructor(changed) {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    /** @type {Size} */
    this.image = { width: 1, height: 1 };
    /** @type {Size} */
    this.pane = { width: 1, height: 1 };
    this.fitted = true;
    this.changed = changed;
    /** @type {{ from: Place, to: Place, start: number } | null} */
    this.move = null;
  }

  /** Scale at which the whole image is seen. A small image is not enlarged beyond 8 times. */
  get fitScale() {
    const { image, pane } = this;
    return Math.min((MARGIN * pane.width) / image.width, (MARGIN * pane.height) / image.height, 8);
  }

  /** @param {Size} image shows the whole of another image; one of the same size keeps its place */
  open(image) {
    const same = image.width === this.image.width && image.height === this.image.height;
    this.image = { width: image.width, height: image.height };
    if (!same || this.fitted) this.fit(false);
    this.changed();
  }

  /** @param {Size} pane */
  resize(pane) {
    this.pane = pane;
    if (this.fitted) this.fit(false);
    this.changed();
  }

  /** @param {boolean} [smooth] */
  fit(smooth = true) {
    this.go({ scale: this.fitScale, x: this.image.width / 2, y: this.image.height / 2 }, smooth);
    this.fitted = true;
  }

  /**
   * @param {number} factor
   * @param {number} [px] point of the pane that stays where it is; its centre by default
   * @param {number} [py]
   * @param {boolean} [smooth]
   */
  zoom(factor, px = this.pane.width / 2, py = this.pane.height / 2, smooth = false) {
    const start = this.target;
    const lowest = Math.min(SMALLEST_SHARE * this.fitScale, 1);
    const scale = Math.min(LARGEST_SCALE, Math.max(lowest, start.scale * factor));
    const kept = 1 / start.scale - 1 / scale;
    const x = start.x + (px - this.pane.width / 2) * kept;
    const y = start.y + (py - this.pane.height / 2) * kept;
    this.go({ scale, x, y }, smooth);
  }

  /**
   * @param {number} dx CSS pixels that the image moves to the right
   * @param {number} dy and down
   * @param {boolean} [smooth]
   */
  pan(dx, dy, smooth = false) {
    const start = this.target;
    this.go({ scale: start.scale, x: start.x - dx / start.scale, y: start.y - dy / start.scale }, smooth);
  }

  /** @param {readonly number[]} box [x, y, width, height] moves the least that shows it whole, and no smaller */
  show([left, top, width, height]) {
    const { scale, x, y } = this.target;
    const room = Math.min((0.8 * this.pane.width) / width, (0.8 * this.pane.height) / height);
    const next = Math.min(scale, Math.max(room, this.fitScale));
    const halfX = Math.max(0, (this.pane.width / next - width) / 2 - 8 / next);
    const halfY = Math.max(0, (this.pane.height / next - height) / 2 - 8 / next);
    const midX = left + width / 2;
    const midY = top + height / 2;
    const to = {
      scale: next,
      x: Math.min(midX + halfX, Math.max(midX - halfX, x)),
      y: Math.min(midY + halfY, Math.max(midY - halfY, y)),
    };
    if (to.scale !== scale || to.x !== x || to.y !== y) this.go(to, true);
  }

  /** Where the view is going, or is. */
  get target() {
    return this.move ? this.move.to : { scale: this.scale, x: this.x, y: this.y };
  }

  /**
   * @param {Place} to
   * @param {boolean} smooth
   */
  go(to, smooth) {
    this.fitted = false;
    to.x = Math.min(this.image.width, Math.max(0, to.x));
    to.y = Math.min(this.image.height, Math.max(0, to.y));
    if (smooth && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.move = { from: { scale: this.scale, x: this.x, y: this.y }, to, start: performance.now() };
    } else {
      this.move = null;
      Object.assign(this, to);
    }
    this.changed();
  }

  /**
   * Continue a smooth move.
   * @param {number} now
   * @returns {boolean} whether it goes on
   */
  step(now) {
    if (!this.move) return false;
    const { from, to, start } = this.move;
    const done = Math.min(1, Math.max(0, now - start) / MOVE_MS);
    const eased = 1 - (1 - done) ** 3;
    // The scale moves by equal factors, and the point that a zoom holds stays in place if x, y follow 1 / scale.
    this.scale = from.scale * (to.scale / from.scale) ** eased;
    const same = Math.abs(to.scale / from.scale - 1) < 1e-6;
    const share = same ? eased : (1 / from.scale - 1 / this.scale) / (1 / from.scale - 1 / to.scale);
    this.x = from.x + (to.x - from.x) * share;
    this.y = from.y + (to.y - from.y) * share;
    if (done === 1) this.move = null;
    return this.move !== null;
  }

  /**
   * @param {number} px
   * @param {number} py
   * @returns {{ x: number, y: number }} the point of the image at a point of the pane
   */
  imagePoint(px, py) {
    return {
      x: this.x + (px - this.pane.width / 2) / this.scale,
      y: this.y + (py - this.pane.height / 2) / this.scale,
    };
  }
}
