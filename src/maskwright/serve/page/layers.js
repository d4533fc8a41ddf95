/**
 * Pyramids of bitmaps, drawn by the worker: an image, the mask of a result, the differences of two results. A frame then
 * only scales one bitmap of about the size of the pane.
 */

/** @typedef {{ classColours: Uint32Array, objectColours: Uint32Array, outlines: boolean }} Paint */
/**
 * A bitmap, and the size in pixels of the image that it covers.
 * @typedef {{ bitmap: ImageBitmap, width: number, height: number }} Drawn
 */

/** A worker that answers calls by promises. */
export class Caller {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
    this.waiting = new Map();
    this.calls = 0;
    this.worker.onmessage = ({ data }) => {
      const { resolve, reject } = /** @type {{ resolve: Function, reject: Function }} */ (this.waiting.get(data.call));
      this.waiting.delete(data.call);
      if (data.error === undefined) resolve(data.value);
      else reject(new Error(data.error));
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the worker did not start"));
      this.waiting.clear();
    };
  }

  /**
   * @param {string} name
   * @param {object} args
   * @returns {Promise<any>}
   */
  call(name, args) {
    const call = this.calls++;
    this.worker.postMessage({ call, name, args });
    return new Promise((resolve, reject) => this.waiting.set(call, { resolve, reject }));
  }

  /** Stop; what is waited for does not come. */
  close() {
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new DOMException("the worker was stopped", "AbortError"));
    this.waiting.clear();
  }
}

/** A decoded image in halving sizes. */
export class ImageLayers {
  /**
   * @param {ImageBitmap[]} bitmaps the largest first
   * @param {{ width: number, height: number }} size of the image, which may be larger than all of them
   */
  constructor(bitmaps, { width, height }) {
    this.width = width;
    this.height = height;
    this.bitmaps = bitmaps;
    this.first = Math.round(Math.log2(width / bitmaps[0].width));
  }

  /**
   * @param {number} wanted level
   * @returns {Drawn}
   */
  at(wanted) {
    const index = Math.max(0, Math.min(this.bitmaps.length - 1, wanted - this.first));
    return { bitmap: this.bitmaps[index], width: this.width, height: this.height };
  }

  close() {
    for (const bitmap of this.bitmaps) bitmap.close();
  }
}

/** Levels that the worker draws when they are wanted, the nearest one standing in until then. */
export class DrawnLayers {
  /**
   * @param {Caller} caller
   * @param {{ width: number, height: number }} size
   * @param {(error?: Error) => void} changed called when a level is there, or failed
   */
  constructor(caller, { width, height }, changed) {
    this.caller = caller;
    this.width = width;
    this.height = height;
    this.changed = changed;
    this.count = levelsOf(width, height);
    this.first = 0;
    while ((width * height) / 4 ** this.first > 16_700_000) this.first++;
    /** @type {Map<number, { bitmap: ImageBitmap, version: number }>} */
    this.drawn = new Map();
    this.version = 0;
    this.wanted = this.count - 1; // the quickest, until a frame says which
    this.busy = false;
    this.closed = false;
    /** @type {{ name: string, args: object } | null} */
    this.order = null;
  }

  /**
   * Have all levels drawn anew.
   * @param {string} name call of the worker
   * @param {object} args
   */
  draw(name, args) {
    this.order = { name, args };
    this.version++;
    this.next();
  }

  /**
   * @param {number} wanted level
   * @returns {Drawn | null} the nearest that is there; an outdated one rather than none
   */
  at(wanted) {
    this.wanted = Math.max(this.first, Math.min(this.count - 1, wanted));
    const found = [...this.drawn].sort(([a, x], [b, y]) => y.version - x.version || this.distance(a) - this.distance(b))[0];
    if (!found || found[0] !== this.wanted || found[1].version !== this.version) this.next();
    if (!found) return null;
    const [level, { bitmap }] = found;
    return { bitmap, width: bitmap.width * 2 ** level, height: bitmap.height * 2 ** level };
  }

  /**
   * @returns {Promise<Drawn>} the finest level as it is shown now, once it is drawn
   */
  async finest() {
    for (;;) {
      const found = this.drawn.get(this.first);
      if (found?.version === this.version) {
        const { bitmap } = found;
        return { bitmap, width: bitmap.width * 2 ** this.first, height: bitmap.height * 2 ** this.first };
      }
      if (this.closed || !this.order) throw new Error("the mask could not be drawn");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** @param {number} level */
  distance(level) {
    return Math.abs(level - this.wanted);
  }

  /** Order the level that is most wanted of those that are missing. */
  async next() {
    if (this.busy || this.closed || !this.order) return;
    const stale = [];
    for (let level = this.first; level < this.count; level++) {
      if (this.drawn.get(level)?.version !== this.version) stale.push(level);
    }
    if (!stale.length) return;
    const level = stale.sort((a, b) => this.distance(a) - this.distance(b))[0];
    const { version } = this;
    this.busy = true;
    try {
      const bitmap = await this.caller.call(this.order.name, { ...this.order.args, level });
      this.drawn.get(level)?.bitmap.close();
      this.drawn.set(level, { bitmap, version });
      if (this.closed) this.clear();
      this.changed();
    } catch (error) {
      if (this.closed) return;
      this.order = null;
      this.changed(/** @type {Error} */ (error));
    }
    this.busy = false;
    this.next();
  }

  close() {
    this.closed = true;
    this.clear();
    this.caller.close();
  }

  clear() {
    for (const { bitmap } of this.drawn.values()) bitmap.close();
    this.drawn.clear();
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function levelsOf(width, height) {
  let count = 1;
  for (let longest = Math.max(width, height); longest > 256; longest = (longest + 1) >> 1) count++;
  return count;
}
