/** Colour tables for masks. A colour is stored as a canvas stores a pixel: red in the lowest byte, alpha in the highest. */

/** @typedef {import("./api.js").Result} Result */

/**
 * @param {readonly number[]} rgb
 * @returns {number}
 */
export function stored([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * @param {Result} result
 * @param {ReadonlySet<string>} hidden names of classes
 * @param {boolean} byObject
 */
export function tables(result, hidden, byObject) {
  const classColours = new Uint32Array(256);
  for (const { index, name, color } of result.classes) {
    if (!hidden.has(name)) classColours[index] = stored(color);
  }
  const largest = result.objects.reduce((most, { id }) => Math.max(most, id), 0);
  const objectColours = new Uint32Array(largest + 1);
  for (const { id, index } of result.objects) {
    if (classColours[index]) objectColours[id] = byObject ? stored(objectColour(id)) : classColours[index];
  }
  return { classColours, objectColours };
}

/**
 * Colours by the golden angle, in three brightnesses, so that neighbours in number differ.
 * @param {number} id
 */
export function objectColour(id) {
  const hue = (id * 137.508 + 200) % 360;
  return rgbOf(hue, 0.62, [0.5, 0.64, 0.42][id % 3]);
}

/**
 * @param {number} hue degrees
 * @param {number} saturation
 * @param {number} lightness
 */
function rgbOf(hue, saturation, lightness) {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((offset) => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}

/** @param {readonly number[]} rgb */
export function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}
