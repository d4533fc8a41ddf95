/** The table of objects: sorted by any column, in pages, each row tied to its object in the image. */

import { css, objectColour } from "./colours.js";
import { count, get, make } from "./dom.js";

/** @typedef {import("./api.js").Item} Item */
/** @typedef {import("./api.js").Result} Result */

const PAGE = 200;
/** @type {{ key: keyof Item, label: string, number: boolean }[]} */
const COLUMNS = [
  { key: "id", label: "No.", number: true },
  { key: "name", label: "Class", number: false },
  { key: "area", label: "Pixels", number: true },
  { key: "score", label: "Score", number: true },
];

export class ObjectTable {
  /** @param {{ hover: (item: Item | null) => void, select: (item: Item | null) => void }} listener */
  constructor(listener) {
    this.listener = listener;
    this.section = get("objects", HTMLElement);
    this.scroll = get("objects-scroll", HTMLElement);
    this.table = get("objects-table", HTMLTableElement);
    this.pages = get("objects-pages", HTMLElement);
    /** @type {Item[]} */
    this.items = [];
    /** @type {(item: Item) => number[]} */
    this.colourOf = () => [128, 128, 128];
    /** @type {keyof Item} */
    this.key = "id";
    this.downwards = false;
    this.page = 0;
    /** @type {Item | null} */
    this.selected = null;
    /** @type {Map<number, HTMLTableRowElement>} */
    this.rows = new Map();
    this.makeHead();
    this.listen();
  }

  makeHead() {
    const cells = COLUMNS.map(({ key, label, number }) => {
      const button = make("button", { type: "button", textContent: label });
      button.addEventListener("click", () => this.sort(key));
      return make("th", { scope: "col", className: number ? "n" : "" }, [button]);
    });
    this.table.tHead?.rows[0].replaceChildren(...cells);
  }

  listen() {
    const body = this.table.tBodies[0];
    /** @param {Event} event */
    const itemOf = (event) => {
      const row = event.target instanceof Element ? event.target.closest("tr") : null;
      return this.items.find(({ id }) => String(id) === row?.dataset.id) ?? null;
    };
    body.addEventListener("pointerover", (event) => this.listener.hover(itemOf(event)));
    body.addEventListener("pointerleave", () => this.listener.hover(null));
    body.addEventListener("click", (event) => this.listener.select(itemOf(event)));
    for (const button of this.pages.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        this.page += Number(button.dataset.page);
        this.draw();
        this.scroll.scrollTop = 0;
      });
    }
  }

  /**
   * @param {Result} result
   * @param {boolean} byObject
   * @param {ReadonlySet<string>} hidden names of classes, whose objects are left out
   */
  show(result, byObject, hidden) {
    this.section.hidden = !result.hasObjects;
    const colours = new Map(result.classes.map(({ index, color }) => [index, color]));
    this.colourOf = ({ id, index }) => (byObject ? objectColour(id) : (colours.get(index) ?? [128, 128, 128]));
    this.items = result.objects.filter(({ name }) => !hidden.has(name));
    get("objects-count", HTMLElement).textContent = count(this.items.length);
    this.order();
    this.draw();
  }

  /** @param {keyof Item} key */
  sort(key) {
    this.downwards = this.key === key ? !this.downwards : key === "area" || key === "score";
    this.key = key;
    this.page = 0;
    this.order();
    this.draw();
    this.scroll.scrollTop = 0;
  }

  order() {
    const { key } = this;
    const sign = this.downwards ? -1 : 1;
    this.items.sort((a, b) => sign * (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0) || a.id - b.id);
    COLUMNS.forEach((column, index) => {
      const cell = /** @type {HTMLElement} */ (this.table.tHead?.rows[0].cells[index]);
      if (column.key === key) cell.setAttribute("aria-sort", this.downwards ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  draw() {
    const pages = Math.max(1, Math.ceil(this.items.length / PAGE));
    this.page = Math.max(0, Math.min(pages - 1, this.page));
    const from = this.page * PAGE;
    const seen = this.items.slice(from, from + PAGE);
    this.rows = new Map(seen.map((item) => [item.id, this.row(item)]));
    this.table.tBodies[0].replaceChildren(...this.rows.values());
    this.pages.hidden = pages === 1;
    /** @type {HTMLElement} */ (this.pages.querySelector("span")).textContent = `${count(from + 1)} to ${count(from + seen.length)}`;
    const [back, on] = this.pages.querySelectorAll("button");
    back.disabled = this.page === 0;
    on.disabled = this.page === pages - 1;
  }

  /** @param {Item} item */
  row(item) {
    const swatch = make("span", { className: "swatch" });
    swatch.style.setProperty("--colour", css(this.colourOf(item)));
    const row = make("tr", { className: item === this.selected ? "selected" : "" }, [
      make("td", { className: "n", textContent: item.id }),
      make("td", {}, [make("span", { className: "named" }, [swatch, make("span", { className: "text", textContent: item.name })])]),
      make("td", { className: "n", textContent: count(item.area) }),
      make("td", { className: "n", textContent: item.score.toFixed(2) }),
    ]);
    row.dataset.id = String(item.id);
    return row;
  }

  /**
   * Mark the row of an object, and scroll to it.
   * @param {Item | null} item
   */
  hover(item) {
    this.table.querySelector("tr.hovered")?.classList.remove("hovered");
    const row = item && this.rows.get(item.id);
    if (!row) return;
    row.classList.add("hovered");
    this.reveal(row);
  }

  /** @param {Item | null} item */
  select(item) {
    this.selected = item;
    this.table.querySelector("tr.selected")?.classList.remove("selected");
    if (!item) return;
    const index = this.items.indexOf(item);
    if (index >= 0 && Math.floor(index / PAGE) !== this.page) {
      this.page = Math.floor(index / PAGE);
      this.draw();
    }
    const row = this.rows.get(item.id);
    row?.classList.add("selected");
    if (row) this.reveal(row);
  }

  /** @param {HTMLElement} row */
  reveal(row) {
    const head = this.table.tHead?.offsetHeight ?? 0;
    const { scrollTop, clientHeight } = this.scroll;
    const top = row.offsetTop - head;
    if (top < scrollTop) this.scroll.scrollTop = top;
    else if (row.offsetTop + row.offsetHeight > scrollTop + clientHeight) {
      this.scroll.scrollTop = row.offsetTop + row.offsetHeight - clientHeight;
    }
  }

  /**
   * @param {number} step 1 for the next object in the table, -1 for the previous one
   * @returns {Item | null}
   */
  beside(step) {
    if (!this.items.length) return null;
    const at = this.selected ? this.items.indexOf(this.selected) : step > 0 ? -1 : 0;
    return this.items[(at + step + this.items.length) % this.items.length];
  }
}
