/** What the page does: opens images, asks models, and keeps panes, panel and table in step. */

import { models as askModels, gallery as askGallery, galleryImage, predict, ServiceError } from "./api.js";
import { tables } from "./colours.js";
import { differ } from "./compare.js";
import { choose, get, make } from "./dom.js";
import { Gallery } from "./gallery.js";
import { Caller, DrawnLayers, ImageLayers } from "./layers.js";
import { askToken, clearError, showError } from "./notice.js";
import { ObjectTable } from "./objects.js";
import { classNames, described, showClasses } from "./panel.js";
import { askPatiently } from "./patience.js";
import { Readout } from "./readout.js";
import { hover, point, select } from "./selection.js";
import { Stage } from "./stage.js";

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./api.js").Result} Result */

const SHOWN_BY_BROWSERS = new Set(["image/png", "image/jpeg", "image/gif", "image/bmp"]);

export class App {
  constructor() {
    this.show = { opacity: 0.55, outlines: false, split: false, differences: true, held: false };
    /** Opacity of fill and of outlines. */
    this.opacities = [0.55, 1];
    this.byObject = false;
    /** @type {Set<string>} */
    this.hidden = new Set();
    /** @type {Set<string>} names that were seen once, so that a choice of the user stays */
    this.known = new Set();
    /** @type {Model[]} */
    this.models = [];
    /** @type {string[]} names of the models of the panes */
    this.chosen = ["", ""];
    this.comparing = false;
    this.tableSide = 0;
    /** @type {{ blob: Blob, name: string } | null} */
    this.source = null;
    this.cancel = new AbortController();
    /** What ends the requests of each pane. */
    this.asked = [new AbortController(), new AbortController()];
    /** Seconds that each pane waits before it asks a busy service again. */
    this.pauses = [0, 0];
    this.working = 0;
    this.images = new Caller();
    this.readout = new Readout();
    this.stage = new Stage([get("pane-a", HTMLCanvasElement), get("pane-b", HTMLCanvasElement)], this.show, {
      point: (x, y) => point(this, x, y),
      pick: (side, x, y) => select(this, this.stage.pixel(side, x, y)?.item ?? null, side),
      moved: (view) => this.readout.scale(view.scale),
      hold: (held) => this.hold(held),
    });
    this.table = new ObjectTable({
      hover: (item) => hover(this, item, this.tableSide),
      select: (item) => select(this, item, this.tableSide, true),
    });
    this.gallery = new Gallery((entry) => this.openEntry(entry));
    this.changed();
  }

  /** Ask the service what it has. */
  async start() {
    try {
      this.models = await askModels();
      this.chosen = [this.models[0].name, (this.models[1] ?? this.models[0]).name];
      this.changedModels();
      this.gallery.show(await askGallery());
      clearError();
    } catch (error) {
      await this.failed(error, () => this.start());
    }
  }

  /**
   * @param {unknown} error
   * @param {() => void} retry
   */
  async failed(error, retry) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (error instanceof ServiceError && error.status === 401 && (await askToken(sessionStorage.length > 0))) {
      retry();
      return;
    }
    showError(error, retry);
  }

  /** @param {import("./api.js").Entry} entry */
  async openEntry(entry) {
    const signal = this.clear();
    this.busy(1);
    try {
      await this.open(await galleryImage(entry, signal), entry.name, true);
    } catch (error) {
      await this.failed(error, () => this.openEntry(entry));
    }
    this.busy(-1);
  }

  /** Forget the image and its results. */
  clear() {
    this.cancel.abort();
    this.cancel = new AbortController();
    clearError();
    for (let side = 0; side < 2; side++) this.drop(side);
    return this.cancel.signal;
  }

  /**
   * Show an image, and have it segmented.
   * @param {Blob} blob
   * @param {string} name
   * @param {boolean} [ofGallery]
   */
  async open(blob, name, ofGallery = false) {
    const signal = this.clear();
    if (!ofGallery) this.gallery.mark(-1);
    this.source = { blob, name };
    get("name", HTMLElement).textContent = name;
    this.changed();
    const sides = this.sides.map((side) => this.predict(side));
    try {
      const upright = this.model(0)?.upright ?? true;
      // Chromium does not turn WebP as its metadata say: the service does.
      if (blob.type === "image/webp") throw new Error("shown as the service reads it");
      const decoded = await this.images.call("image", { blob, upright });
      if (!signal.aborted) this.useImage(new ImageLayers(decoded.bitmaps, decoded));
    } catch {
      // The browser cannot show the format: the service sends a picture with its result.
      if (!signal.aborted && this.stage.image) this.useImage(null);
    }
    await Promise.all(sides);
  }

  /** @param {ImageLayers | null} image */
  useImage(image) {
    this.stage.image?.close();
    this.stage.image = image;
    if (image) this.stage.view.open(image);
    this.changed();
  }

  get sides() {
    return this.comparing ? [0, 1] : [0];
  }

  /** @param {number} side */
  model(side) {
    return this.models.find(({ name }) => name === this.chosen[side]);
  }

  /** @param {number} side */
  async predict(side) {
    const { source } = this;
    const model = this.model(side);
    if (!source || !model) return;
    this.drop(side);
    const { signal } = this.asked[side];
    this.busy(1);
    const started = performance.now();
    const caller = new Caller(); // its worker starts while the service works
    try {
      const picture = !SHOWN_BY_BROWSERS.has(source.blob.type);
      const ask = () => predict(source.blob, model, picture, signal);
      const result = await askPatiently(ask, (seconds) => this.pausing(side, seconds), signal);
      if (!signal.aborted && this.chosen[side] === model.name) await this.take(side, result, caller, started, signal);
    } catch (error) {
      if (!signal.aborted) await this.failed(error, () => this.predict(side));
    }
    if (this.stage.shown[side]?.mask.caller !== caller) caller.close();
    this.busy(-1);
  }

  /**
   * @param {number} side
   * @param {Result} result
   * @param {Caller} caller that the mask is drawn by
   * @param {number} started
   * @param {AbortSignal} signal
   */
  async take(side, result, caller, started, signal) {
    const { mask, ids, classes, confidence } = result;
    const pixels = { ...(await caller.call("open", { mask, ids, classes })), confidence: null };
    if (signal.aborted) return;
    if (!this.stage.image && result.picture) await this.usePicture(result);
    for (const { name, background: nothing } of result.classes) {
      if (nothing && !this.known.has(name)) this.hidden.add(name);
      this.known.add(name);
    }
    let first = true;
    const layers = new DrawnLayers(caller, result, (error) => {
      if (error) showError(error, null);
      this.stage.request();
      if (first) performance.measure("mask", { start: started, end: performance.now(), detail: result.milliseconds });
      first = false;
    });
    const items = new Map(result.objects.map((item) => [item.id, item]));
    this.stage.shown[side] = { result, pixels, mask: layers, items };
    if (this.firstObjects(result)) {
      this.byObject = true;
      choose("colour", "object");
    }
    this.stage.draw(); // says which level is wanted first
    this.repaint();
    this.changed();
    differ(this);
    // Nobody asks for a probability before the mask is seen.
    pixels.confidence = await caller.call("decode", { file: confidence });
  }

  /**
   * Whether to start with colours of objects: where all have one class.
   * @param {Result} result
   */
  firstObjects({ hasObjects, model, classes }) {
    const key = `model ${model}`;
    if (!hasObjects || this.known.has(key)) return false;
    this.known.add(key);
    return classes.filter(({ background }) => !background).length === 1;
  }

  /** @param {Result} result whose picture stands for an image that the browser cannot decode */
  async usePicture(result) {
    const { bitmaps } = await this.images.call("image", { blob: result.picture, upright: false });
    this.useImage(new ImageLayers(bitmaps, result));
  }

  /** @param {number} side forget its result, and what it asked */
  drop(side) {
    this.asked[side].abort();
    this.asked[side] = new AbortController();
    this.stage.shown[side]?.mask.close();
    this.stage.shown[side] = null;
    this.stage.hovered[side] = this.stage.selected[side] = null;
    this.stage.differences?.close();
    this.stage.differences = null;
    this.changed();
  }

  /** Colour the masks anew. */
  repaint() {
    for (const shown of this.stage.shown) {
      if (!shown) continue;
      const { classColours, objectColours } = tables(shown.result, this.hidden, this.byObject);
      shown.mask.draw("paint", { classColours, objectColours, outlines: this.show.outlines });
    }
    this.stage.request();
  }

  get results() {
    return this.stage.shown.slice(0, this.stage.sides).flatMap((shown) => (shown ? [shown.result] : []));
  }

  /** Show in the panel what there is now. */
  changed() {
    const { results } = this;
    const [first] = results;
    if (first) showClasses(results, this.hidden, (name, on, only) => this.toggle(name, on, only));
    const result = this.stage.shown[this.tableSide]?.result;
    if (result) this.table.show(result, this.byObject, this.hidden);
    get("colour-row", HTMLElement).hidden = !results.some(({ hasObjects }) => hasObjects);
    get("differing", HTMLElement).hidden = !this.comparing || !this.stage.differences;
    const waiting = this.working > 0;
    get("panel", HTMLElement).classList.toggle("waiting", !first && waiting);
    if (!first && !waiting) this.showNothing();
    const opened = this.stage.image !== null || waiting;
    get("empty", HTMLElement).hidden = opened;
    document.body.classList.toggle("opened", opened);
    this.readout.facts(this.stage.image, results);
    this.stage.panes.forEach(({ canvas }, side) => {
      const shown = this.stage.shown[side];
      canvas.setAttribute("aria-label", shown && this.source ? described(this.source.name, shown.result) : (this.source?.name ?? "No image yet"));
    });
    this.stage.request();
  }

  /** Show a panel without results. */
  showNothing() {
    const hint = make("p", { className: "quiet", textContent: "Areas appear here once an image is segmented." });
    get("classes", HTMLElement).replaceChildren(hint);
    get("objects", HTMLElement).hidden = true;
  }

  /**
   * @param {string} name of a class
   * @param {boolean} on
   * @param {boolean} only hide all others
   */
  toggle(name, on, only) {
    if (only) for (const other of classNames(this.results)) this.hidden.add(other);
    if (on) this.hidden.delete(name);
    else this.hidden.add(name);
    this.repaint();
    this.changed();
  }

  /** @param {boolean} held whether to show the original */
  hold(held) {
    this.show.held = held;
    get("held", HTMLElement).hidden = !held || !this.stage.image;
    this.stage.request();
  }

  /** @param {number} step the number of waiting requests changes by */
  busy(step) {
    this.working += step;
    get("viewer", HTMLElement).classList.toggle("working", this.working > 0);
    this.sayWorking();
    this.changed();
  }

  /**
   * @param {number} side
   * @param {number} seconds
   */
  pausing(side, seconds) {
    this.pauses[side] = seconds;
    this.sayWorking();
  }

  /** Say what the page waits for. */
  sayWorking() {
    const seconds = Math.min(...this.pauses.filter(Boolean));
    const said = Number.isFinite(seconds) ? `The service is busy; asking again in ${seconds} s` : "Segmenting …";
    get("working", HTMLElement).textContent = this.working > 0 ? said : "";
  }

  /** Show which models there are, and which are chosen. */
  changedModels() {
    document.dispatchEvent(new CustomEvent("models"));
  }
}
