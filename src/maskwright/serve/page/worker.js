/** The worker: decodes images and masks, and colours masks, so that the page itself never waits for 12 million pixels. */

import { differences, filled, half, hatched, outlined, rankOf } from "./pixels.js";
import { decodePlane, encodePlane } from "./png.js";

/** @typedef {import("./pixels.js").Level} Level */

const scope = /** @type {Worker} */ (/** @type {unknown} */ (self));
const SMALLEST_LEVEL = 256;
/** The largest canvas of the browsers on some phones. Of a larger image, only smaller levels are drawn. */
const MOST_PIXELS = 16_700_000;

/** @type {Level[]} */
let levels = [];

/** @type {Record<string, (args: any) => Promise<{ value: unknown, transfer: Transferable[] }>>} */
const TASKS = { image, thumbnail, open, decode, paint, hatch, compare, encode };

scope.onmessage = async (event) => {
  const { call, name, args } = event.data;
  try {
    const { value, transfer } = await TASKS[name](args);
    scope.postMessage({ call, value }, transfer);
  } catch (error) {
    scope.postMessage({ call, error: error instanceof Error ? error.message : String(error) });
  }
};

/**
 * Decode an image, and reduce it to half its size again and again.
 * @param {{ blob: Blob, upright: boolean }} args whether to turn it as its metadata say
 */
async function image({ blob, upright }) {
  let bitmap = await createImageBitmap(blob, { imageOrientation: upright ? "from-image" : "none" });
  const { width, height } = bitmap;
  while (bitmap.width * bitmap.height > MOST_PIXELS) bitmap = await resized(bitmap);
  const bitmaps = [bitmap];
  while (Math.max(bitmap.width, bitmap.height) > SMALLEST_LEVEL) {
    bitmap = await resized(bitmap);
    bitmaps.push(bitmap);
  }
  return { value: { width, height, bitmaps }, transfer: bitmaps };
}

/**
 * @param {{ blob: Blob, height: number }} args
 */
async function thumbnail({ blob, height }) {
  const whole = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const canvas = new OffscreenCanvas(Math.max(1, Math.round((height * whole.width) / whole.height)), height);
  // Drawn: what `createImageBitmap` resizes, Chromium turns in the thread that asked, and loses the turn on the way out.
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "medium";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  const bitmap = canvas.transferToImageBitmap();
  return { value: bitmap, transfer: [bitmap] };
}

/** @param {ImageBitmap} bitmap */
function resized(bitmap) {
  const size = { resizeWidth: (bitmap.width + 1) >> 1, resizeHeight: (bitmap.height + 1) >> 1 };
  return createImageBitmap(bitmap, { ...size, resizeQuality: "medium" });
}

/**
 * Decode a result, and keep its levels for `paint`.
 * @param {{ mask: Uint8Array<ArrayBuffer>, ids: Uint8Array<ArrayBuffer> | null, classes: import("./api.js").ClassArea[] }} args
 *     PNG files
 */
async function open({ mask, ids, classes }) {
  const { width, height, values } = await decodePlane(mask);
  const labels = /** @type {Uint8Array<ArrayBuffer>} */ (values);
  const objects = ids && /** @type {Uint32Array<ArrayBuffer>} */ ((await decodePlane(ids)).values);
  keep({ width, height, labels, ids: objects }, rankOf(classes));
  const value = { labels: labels.slice(), ids: objects?.slice() ?? null };
  return { value, transfer: value.ids ? [value.labels.buffer, value.ids.buffer] : [value.labels.buffer] };
}

/**
 * Decode one PNG file.
 * @param {{ file: Uint8Array<ArrayBuffer> }} args
 */
async function decode({ file }) {
  const { values } = await decodePlane(file);
  return { value: values, transfer: [values.buffer] };
}

/**
 * @param {Level} level
 * @param {Uint8Array} rank
 */
function keep(level, rank) {
  levels = [level];
  while (Math.max(level.width, level.height) > SMALLEST_LEVEL) {
    level = half(level, rank);
    levels.push(level);
  }
}

/**
 * Colour one level.
 * @param {{ level: number, classColours: Uint32Array, objectColours: Uint32Array, outlines: boolean }} args
 */
async function paint({ level, classColours, objectColours, outlines }) {
  const colours = filled(levels[level], classColours, objectColours);
  return drawn(levels[level], outlines ? outlined(levels[level], colours) : colours);
}

/**
 * Draw one level of differences.
 * @param {{ level: number, light: number, dark: number }} args
 */
async function hatch({ level, light, dark }) {
  return drawn(levels[level], hatched(levels[level], light, dark));
}

/**
 * @param {Level} level
 * @param {Uint32Array<ArrayBuffer>} colours
 */
function drawn({ width, height }, colours) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas to a worker: use a newer one");
  context.putImageData(new ImageData(new Uint8ClampedArray(colours.buffer), width, height), 0, 0);
  const bitmap = canvas.transferToImageBitmap();
  return { value: bitmap, transfer: [bitmap] };
}

/**
 * Compare two label maps, and keep the levels of the differences for `hatch`.
 * @param {{ width: number, height: number, a: Uint8Array, b: Uint8Array, meaning: Uint8Array }} args
 */
async function compare({ width, height, a, b, meaning }) {
  const { labels, pairs } = differences(a, b, meaning);
  keep({ width, height, labels, ids: null }, Uint8Array.from({ length: 256 }, (_, label) => label));
  return { value: pairs, transfer: [pairs.buffer] };
}

/**
 * Write class indices with a palette, or object ids.
 * @param {{ values: Uint8Array | Uint32Array, width: number, height: number, palette: number[][] | null }} args
 */
async function encode({ values, width, height, palette }) {
  const bytes = await encodePlane(values, width, height, palette);
  return { value: bytes, transfer: [bytes.buffer] };
}
