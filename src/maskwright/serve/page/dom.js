/** Small helpers for elements. */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new (...args: any[]) => T} kind
 * @returns {T}
 */
export function get(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [properties] className, textContent, title, ...
 * @param {(Node | string)[]} [children]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** @param {number} value */
export function count(value) {
  return whole.format(value).replaceAll(",", "\u202f");
}

/** @param {number} share from 0 to 1 */
export function percent(share) {
  if (share > 0 && share < 0.0001) return "< 0.01\u202f%";
  return `${(100 * share).toFixed(share < 0.1 ? 2 : 1)}\u202f%`;
}

/** @param {string} name of the radio buttons */
export function chosen(name) {
  return /** @type {HTMLInputElement} */ (document.querySelector(`input[name="${name}"]:checked`)).value;
}

/**
 * @param {string} name of the radio buttons
 * @param {string} value
 */
export function choose(name, value) {
  /** @type {HTMLInputElement} */ (document.querySelector(`input[name="${name}"][value="${value}"]`)).checked = true;
}
