/** Mouse, pen and fingers on a pane: drag, wheel and pinch move a view; the rest is told as points. */

/** @typedef {import("./view.js").View} View */
/**
 * @typedef {object} Listener
 * @property {(point: { x: number, y: number } | null) => void} hover CSS pixels of the pane; null when it is left
 * @property {(point: { x: number, y: number }) => void} click
 * @property {(held: boolean) => void} hold a finger rests on the pane, and leaves it
 */

const CLICK_PX = 5;
const REST_MS = 400;

/**
 * @param {HTMLElement} element
 * @param {View} view
 * @param {Listener} listener
 */
export function attachGestures(element, view, listener) {
  /** @type {Map<number, { x: number, y: number }>} */
  const held = new Map();
  let travelled = 0;
  let pinched = false;
  let rested = false;
  let resting = 0;

  /** @param {MouseEvent} event */
  const point = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 && event.button !== 1) return;
    element.setPointerCapture(event.pointerId);
    if (!held.size) {
      travelled = 0;
      pinched = false;
    }
    held.set(event.pointerId, point(event));
    if (held.size > 1) pinched = true;
    clearTimeout(resting);
    if (event.pointerType === "touch") resting = setTimeout(rest, REST_MS);
    element.classList.add("held");
  });

  function rest() {
    rested = held.size === 1 && travelled <= CLICK_PX && !pinched;
    if (rested) listener.hold(true);
  }

  element.addEventListener("pointermove", (event) => {
    const now = point(event);
    const before = held.get(event.pointerId);
    if (!before) {
      listener.hover(now);
      return;
    }
    const others = [...held].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length) pinch(others[0], before, now);
    else drag(before, now);
    held.set(event.pointerId, now);
  });

  /**
   * @param {{ x: number, y: number }} before
   * @param {{ x: number, y: number }} now
   */
  function drag(before, now) {
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (travelled > CLICK_PX || pinched) view.pan(now.x - before.x, now.y - before.y);
  }

  /**
   * @param {{ x: number, y: number }} fixed the finger that did not move
   * @param {{ x: number, y: number }} before
   * @param {{ x: number, y: number }} now
   */
  function pinch(fixed, before, now) {
    const from = Math.max(1, Math.hypot(before.x - fixed.x, before.y - fixed.y));
    const to = Math.max(1, Math.hypot(now.x - fixed.x, now.y - fixed.y));
    view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    view.zoom(to / from, (now.x + fixed.x) / 2, (now.y + fixed.y) / 2);
  }

  /** @param {PointerEvent} event */
  const release = (event) => {
    if (!held.delete(event.pointerId) || held.size) return;
    element.classList.remove("held");
    clearTimeout(resting);
    if (rested) {
      rested = false;
      listener.hold(false);
    } else if (event.type === "pointerup" && travelled <= CLICK_PX && !pinched) listener.click(point(event));
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  element.addEventListener("contextmenu", (event) => {
    if (held.size) event.preventDefault();
  });
  element.addEventListener("pointerleave", () => {
    if (!held.size) listener.hover(null);
  });

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      // Lines and pages to pixels; a pinch on a touchpad comes as a wheel with Ctrl, in small steps.
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const delta = Math.max(-300, Math.min(300, event.deltaY * unit));
      const { x, y } = point(event);
      view.zoom(Math.exp(-delta * (event.ctrlKey ? 0.01 : 0.002)), x, y);
    },
    { passive: false },
  );

  element.addEventListener("dblclick", (event) => {
    const { x, y } = point(event);
    if (view.fitted) view.zoom(Math.max(1, 2 * view.scale) / view.scale, x, y, true);
    else view.fit();
  });
}
