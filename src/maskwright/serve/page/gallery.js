/** The strip of small images below the viewer. Decodes only those that come into sight. */

import { galleryImage } from "./api.js";
import { get, make } from "./dom.js";
import { Caller } from "./layers.js";

/** @typedef {import("./api.js").Entry} Entry */

const HEIGHT = 112;
const AT_ONCE = 2;

export class Gallery {
  /** @param {(entry: Entry) => void} open */
  constructor(open) {
    this.open = open;
    this.list = get("thumbs", HTMLElement);
    /** @type {Entry[]} */
    this.entries = [];
    this.at = -1;
    /** @type {{ entry: Entry, button: HTMLElement }[]} */
    this.waiting = [];
    this.running = 0;
    /** @type {Caller | null} */
    this.caller = null;
    this.seen = new IntersectionObserver((changes) => this.appear(changes), { root: get("strip", HTMLElement), rootMargin: "0px 300px" });
  }

  /** @param {Entry[]} entries */
  show(entries) {
    this.entries = entries;
    get("strip", HTMLElement).hidden = !entries.length;
    get("browse", HTMLElement).hidden = !entries.length;
    get("or-gallery", HTMLElement).hidden = !entries.length;
    const items = entries.map((entry, index) => {
      const button = make("button", { type: "button", title: entry.name }, [make("span", { textContent: entry.name.replace(/^.*\//, "") })]);
      button.dataset.index = String(index);
      button.addEventListener("click", () => this.go(index));
      this.seen.observe(button);
      return make("li", {}, [button]);
    });
    this.list.replaceChildren(...items);
    this.mark(-1);
  }

  /** @param {number} index */
  go(index) {
    if (!this.entries.length) return;
    const at = (index + this.entries.length) % this.entries.length;
    this.mark(at);
    this.open(this.entries[at]);
  }

  /** @param {number} step */
  step(step) {
    this.go(this.at < 0 && step < 0 ? this.entries.length - 1 : this.at + step);
  }

  /** @param {number} at -1 for an image that is not of the gallery */
  mark(at) {
    this.at = at;
    this.list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    get("position", HTMLElement).textContent = `${at < 0 ? "–" : at + 1} / ${this.entries.length}`;
    const button = this.list.querySelector(`[data-index="${at}"]`);
    button?.setAttribute("aria-current", "true");
    button?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {IntersectionObserverEntry[]} changes */
  appear(changes) {
    for (const { target, isIntersecting } of changes) {
      const button = /** @type {HTMLElement} */ (target);
      if (isIntersecting) {
        this.seen.unobserve(button);
        this.waiting.push({ entry: this.entries[Number(button.dataset.index)], button });
      }
    }
    while (this.running < AT_ONCE && this.waiting.length) this.load();
  }

  async load() {
    const next = this.waiting.shift();
    if (!next) return;
    this.running++;
    this.caller ??= new Caller();
    try {
      const blob = await galleryImage(next.entry);
      const bitmap = await this.caller.call("thumbnail", { blob, height: HEIGHT });
      const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
      canvas.getContext("bitmaprenderer")?.transferFromImageBitmap(bitmap);
      next.button.prepend(canvas);
      next.button.classList.add("drawn");
    } catch {
      // Not all formats can be shown by a browser: the name stays, and opening the image says what is wrong with it.
      next.button.classList.add("named");
    }
    this.running--;
    this.load();
  }
}
