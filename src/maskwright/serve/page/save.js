/** Files for the user: mask, overlay and result, made from what the page has, without another run of the model. */

/** @typedef {import("./stage.js").Shown} Shown */
/** @typedef {import("./layers.js").ImageLayers} ImageLayers */

/**
 * @param {string} kind `mask`, `overlay` or `json`
 * @param {Shown} shown
 * @param {ImageLayers | null} image
 * @param {number} opacity
 * @param {string} name of the image
 */
export async function save(kind, shown, image, opacity, name) {
  const stem = `${name.replace(/^.*\//, "").replace(/\.[^.]*$/, "") || "image"}.${shown.result.model}`;
  if (kind === "json") {
    const text = JSON.stringify(shown.result.document, null, 1);
    offer(new Blob([text], { type: "application/json" }), `${stem}.json`);
  } else if (kind === "mask") {
    const { width, height, task, classes } = shown.result;
    const objects = task === "instance" ? shown.pixels.ids : null;
    const values = objects ?? shown.pixels.labels;
    const palette = objects ? null : paletteOf(classes);
    const bytes = await shown.mask.caller.call("encode", { values, width, height, palette });
    offer(new Blob([bytes], { type: "image/png" }), `${stem}.mask.png`);
  } else if (image) {
    offer(await overlay(shown, image, opacity), `${stem}.overlay.png`);
  }
}

/**
 * @param {import("./api.js").ClassArea[]} classes
 * @returns {number[][]} 256 colours: black where there is no class, and grey for 255, "no class"
 */
function paletteOf(classes) {
  const palette = Array.from({ length: 256 }, () => [0, 0, 0]);
  palette[255] = [128, 128, 128];
  for (const { index, color } of classes) palette[index] = color;
  return palette;
}

/**
 * @param {Shown} shown
 * @param {ImageLayers} image
 * @param {number} opacity
 */
async function overlay({ mask }, image, opacity) {
  const below = image.at(0);
  const canvas = new OffscreenCanvas(below.bitmap.width, below.bitmap.height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser has no memory for a picture of this size");
  context.drawImage(below.bitmap, 0, 0);
  const above = await mask.finest();
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = false;
  const scale = canvas.width / image.width;
  context.drawImage(above.bitmap, 0, 0, above.width * scale, above.height * scale);
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the address after the click has returned.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
