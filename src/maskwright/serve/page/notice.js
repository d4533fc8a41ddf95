/** What goes wrong, said above the image; and the dialog that asks for the token of the service. */

import { ServiceError, useToken } from "./api.js";
import { get, make } from "./dom.js";

/**
 * @param {unknown} error
 * @param {(() => void) | null} retry
 */
export function showError(error, retry) {
  const place = get("notice", HTMLElement);
  const message = error instanceof Error ? error.message : String(error);
  const cure = error instanceof ServiceError ? error.cure : null;
  const text = make("div", { className: "text" }, [make("p", {}, [make("strong", { textContent: sentence(message) })])]);
  if (cure) text.append(make("p", { textContent: sentence(cure) }));
  const buttons = make("div", { className: "group" });
  if (retry) {
    const again = make("button", { type: "button", className: "button", textContent: "Try again" });
    again.addEventListener("click", () => {
      clearError();
      retry();
    });
    buttons.append(again);
  }
  const close = make("button", { type: "button", className: "button", textContent: "Dismiss" });
  close.addEventListener("click", clearError);
  buttons.append(close);
  place.replaceChildren(text, buttons);
  place.hidden = false;
}

export function clearError() {
  const place = get("notice", HTMLElement);
  place.hidden = true;
  place.replaceChildren();
}

/** @param {string} text */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/**
 * Ask for the token.
 * @param {boolean} wrong whether one was given that the service does not know
 * @returns {Promise<boolean>} whether there is one now
 */
export function askToken(wrong) {
  get("key", HTMLElement).hidden = false;
  const dialog = get("token-dialog", HTMLDialogElement);
  const field = get("token", HTMLInputElement);
  get("token-why", HTMLElement).textContent = wrong
    ? "The service does not know this token. It was given to maskwright serve as --token."
    : "This service answers only with its token. It was given to maskwright serve as --token.";
  field.value = "";
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = dialog.returnValue === "ok" && field.value.trim() !== "";
        if (given) useToken(field.value.trim());
        resolve(given);
      },
      { once: true },
    );
  });
}
