/** The keys of the page: one table for what they do, for the help, and for the documentation. */

/**
 * @typedef {object} Key
 * @property {string} group
 * @property {string[]} keys as `event.key` names them; letters in lower case
 * @property {string} shown
 * @property {string} text
 * @property {string} action name of what it does
 */

/** @type {Key[]} */
export const KEYS = [
  { group: "Images", keys: ["a", "PageUp"], shown: "A, Page Up", text: "previous image of the gallery", action: "previous" },
  { group: "Images", keys: ["d", "PageDown"], shown: "D, Page Down", text: "next image of the gallery", action: "next" },
  { group: "Images", keys: ["u"], shown: "U", text: "open an image", action: "open" },
  { group: "Images", keys: ["s"], shown: "S", text: "save mask, overlay or result", action: "save" },
  { group: "View", keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], shown: "Arrows", text: "move; with Shift, further", action: "pan" },
  { group: "View", keys: ["+", "="], shown: "+", text: "larger", action: "larger" },
  { group: "View", keys: ["-", "_"], shown: "−", text: "smaller", action: "smaller" },
  { group: "View", keys: ["f"], shown: "F", text: "whole image", action: "fit" },
  { group: "View", keys: ["x"], shown: "X", text: "actual pixels", action: "actual" },
  { group: "Objects", keys: ["j"], shown: "J", text: "next object", action: "nextObject" },
  { group: "Objects", keys: ["k"], shown: "K", text: "previous object", action: "previousObject" },
  { group: "Models", keys: ["m"], shown: "M", text: "next model", action: "model" },
  { group: "Models", keys: ["v"], shown: "V", text: "compare two models", action: "compare" },
  { group: "Models", keys: ["e"], shown: "E", text: "differences on or off", action: "differences" },
  { group: "Mask", keys: [" "], shown: "Space, held", text: "original image", action: "hold" },
  { group: "Mask", keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"], shown: "1 to 9, 0", text: "class on or off", action: "class" },
  { group: "Mask", keys: ["h"], shown: "H", text: "all classes on or off", action: "all" },
  { group: "Mask", keys: ["["], shown: "[", text: "less opaque", action: "fainter" },
  { group: "Mask", keys: ["]"], shown: "]", text: "more opaque", action: "stronger" },
  { group: "Mask", keys: ["o"], shown: "O", text: "fill or outlines", action: "style" },
  { group: "Mask", keys: ["c"], shown: "C", text: "colours of classes or of objects", action: "colour" },
  { group: "Mask", keys: ["b"], shown: "B", text: "before and after", action: "split" },
  { group: "Mask", keys: [",", "<"], shown: ",", text: "divider to the left", action: "splitLeft" },
  { group: "Mask", keys: [".", ">"], shown: ".", text: "divider to the right", action: "splitRight" },
  { group: "Page", keys: ["?"], shown: "?", text: "these keys", action: "help" },
  { group: "Page", keys: ["Escape"], shown: "Esc", text: "close, or select nothing", action: "escape" },
];

const PRESSED = "button, summary, a[href], input:is([type=checkbox], [type=radio], [type=range])";

/** @typedef {(event: KeyboardEvent) => void} Action */

/**
 * Run actions by keys. Fields for text keep theirs, and a control that the keyboard has reached keeps Space and Enter;
 * sliders and lists keep the arrows.
 * @param {Record<string, Action>} actions
 * @param {{ hold: (held: boolean) => void }} held
 */
export function listen(actions, held) {
  const table = new Map(KEYS.flatMap(({ keys, action }) => keys.map((key) => [key, action])));
  for (const { action } of KEYS) {
    if (action !== "hold" && !actions[action]) throw new Error(`no action ${action}`);
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = table.get(key);
    if (!action || belongsTo(event.target, event.key)) return;
    // A dialog closes itself on Escape; nothing behind it hears a key.
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    if (action === "hold") {
      if (!event.repeat) held.hold(true);
    } else actions[action](event);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") held.hold(false);
  });
  window.addEventListener("blur", () => held.hold(false));
  leaveWhatWasPointedAt();
}

/** Take the focus from a control that mouse or touch used, so that Space is not its own; keyboard users keep it. */
function leaveWhatWasPointedAt() {
  let pointed = false;
  document.addEventListener("pointerdown", () => (pointed = true), true);
  document.addEventListener("keydown", () => (pointed = false), true);
  /** @param {Event} event */
  const leave = ({ type, target }) => {
    const used = document.activeElement;
    if (!pointed || !(used instanceof HTMLElement) || !(target instanceof Node) || !used.contains(target)) return;
    // Without the focus, an open list would close at the click that opens it.
    if (used.matches(type === "click" ? PRESSED : `${PRESSED}, select`)) used.blur();
  };
  // Before the control acts: a dialog that it opens gives the focus back to where it was.
  document.addEventListener("click", leave, true);
  // Lists, and sliders that are released beside themselves.
  document.addEventListener("change", leave, true);
}

/**
 * Whether an element uses a key itself.
 * @param {EventTarget | null} target
 * @param {string} key
 */
function belongsTo(target, key) {
  if (!(target instanceof HTMLElement)) return false;
  const type = target instanceof HTMLInputElement ? target.type : "";
  if (["text", "password", "search", "number"].includes(type) || target instanceof HTMLTextAreaElement) return true;
  const moves = key.startsWith("Arrow") || key.startsWith("Page");
  if (target instanceof HTMLSelectElement) return moves || key.length === 1;
  if (moves && (type === "range" || type === "radio" || target.matches("[role=slider], .scroll"))) return true;
  return key === " " && target.matches(PRESSED) && target.matches(":focus-visible");
}

/** @param {HTMLElement} place */
export function showKeys(place) {
  const groups = [...new Set(KEYS.map(({ group }) => group))];
  place.replaceChildren(
    ...groups.map((group) => {
      const section = document.createElement("section");
      const heading = document.createElement("h3");
      heading.textContent = group;
      const list = document.createElement("dl");
      for (const { shown, text } of KEYS.filter((key) => key.group === group)) {
        const term = document.createElement("dt");
        for (const part of shown.split(/(, | to )/)) {
          if (part === ", " || part === " to ") term.append(part === ", " ? " " : "–");
          else if (part === "held") term.append("held");
          else term.append(Object.assign(document.createElement("kbd"), { textContent: part }));
        }
        const meaning = Object.assign(document.createElement("dd"), { textContent: text });
        list.append(term, meaning);
      }
      section.append(heading, list);
      return section;
    }),
  );
}
