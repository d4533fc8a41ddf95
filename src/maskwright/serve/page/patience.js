/** A busy service is asked again after the time that it names. */

import { ServiceError } from "./api.js";

/** Within this time of its first refusal, the service must answer. */
const PATIENCE_S = 60;

/**
 * @template T
 * @param {() => Promise<T>} ask
 * @param {(seconds: number) => void} pausing called with the length of each pause, and with 0 when it is over
 * @param {AbortSignal} signal that ends a pause; `ask` ends by it too
 * @returns {Promise<T>}
 */
export async function askPatiently(ask, pausing, signal) {
  let refused = null;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ServiceError) || error.status !== 429 || !error.seconds) throw error;
      const now = performance.now() / 1000;
      refused ??= now;
      if (now + error.seconds > refused + PATIENCE_S) throw error;
      pausing(error.seconds);
      await pause(error.seconds, signal);
      pausing(0);
    }
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} signal that ends it early
 * @returns {Promise<void>}
 */
function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
