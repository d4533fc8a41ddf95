/**
 * Loops over all pixels of an image, without a canvas: half-size levels, colouring, counting differences. They run in a
 * worker, and Node can run them too.
 */

/**
 * Labels and object ids of one level of a pyramid. Level 0 has the size of the image, each further one half of it.
 * @typedef {{ width: number, height: number, labels: Uint8Array, ids: Uint32Array | Uint16Array | null }} Level
 */

/**
 * @param {Level} level
 * @param {Uint8Array} rank of each label: the higher one of a 2 x 2 block wins, so that thin things stay visible
 * @returns {Level} of half the size, rounded up
 */
export function half({ width, height, labels, ids }, rank) {
  const w = (width + 1) >> 1;
  const h = (height + 1) >> 1;
  const next = { width: w, height: h, labels: new Uint8Array(w * h), ids: ids && new Uint32Array(w * h) };
  for (let y = 0, to = 0; y < h; y++) {
    const top = 2 * y * width;
    const below = 2 * y + 1 < height ? width : 0;
    for (let x = 0; x < w; x++, to++) {
      const first = top + 2 * x;
      const right = 2 * x + 1 < width ? 1 : 0;
      const label = labels[first];
      let best = first;
      // Most blocks lie within one class, and need no ranks.
      if (labels[first + right] !== label || labels[first + below] !== label || labels[first + below + right] !== label) {
        if (rank[labels[first + right]] > rank[label]) best = first + right;
        if (rank[labels[first + below]] > rank[labels[best]]) best = first + below;
        if (rank[labels[first + below + right]] > rank[labels[best]]) best = first + below + right;
      }
      next.labels[to] = labels[best];
      if (next.ids && ids) next.ids[to] = ids[best];
    }
  }
  return next;
}

/**
 * Rank labels for `half`: background first, then the larger areas, then the smaller ones.
 * @param {{ index: number, pixels: number, background: boolean }[]} classes
 */
export function rankOf(classes) {
  const order = [...classes].sort((a, b) => Number(b.background) - Number(a.background) || b.pixels - a.pixels);
  const rank = new Uint8Array(256);
  order.forEach(({ index }, position) => (rank[index] = position + 1));
  return rank;
}

/**
 * @param {Level} level
 * @param {Uint32Array} classColours colour of each label, as stored by a canvas; 0 is transparent
 * @param {Uint32Array} objectColours colour of each object id
 * @returns {Uint32Array<ArrayBuffer>} one colour a pixel
 */
export function filled({ labels, ids }, classColours, objectColours) {
  const out = new Uint32Array(labels.length);
  if (!ids) {
    for (let index = 0; index < out.length; index++) out[index] = classColours[labels[index]];
    return out;
  }
  for (let index = 0; index < out.length; index++) {
    const id = ids[index];
    out[index] = id ? objectColours[id] : classColours[labels[index]];
  }
  return out;
}

/**
 * Keep the colours of those pixels that have a neighbour of another label or object, in place. The border of the image
 * is no outline.
 * @param {Level} level
 * @param {Uint32Array<ArrayBuffer>} colours
 */
export function outlined({ width, height, labels, ids }, colours) {
  for (let y = 0, index = 0; y < height; y++) {
    const up = y ? -width : 0;
    const down = y < height - 1 ? width : 0;
    for (let x = 0; x < width; x++, index++) {
      if (!colours[index]) continue;
      const left = x ? -1 : 0;
      const right = x < width - 1 ? 1 : 0;
      const label = labels[index];
      let edge =
        labels[index + left] !== label || labels[index + right] !== label || labels[index + up] !== label || labels[index + down] !== label;
      if (ids && !edge) {
        const id = ids[index];
        edge = ids[index + left] !== id || ids[index + right] !== id || ids[index + up] !== id || ids[index + down] !== id;
      }
      if (!edge) colours[index] = 0;
    }
  }
  return colours;
}

/**
 * Mark the pixels of a level of differences (label 1): dashes along their border, and thin stripes inside, equally wide
 * on the screen at each level, so that what is below can still be seen.
 * @param {Level} level
 * @param {number} light colour of dashes and stripes
 * @param {number} dark
 */
export function hatched({ width, height, labels }, light, dark) {
  const out = new Uint32Array(labels.length);
  for (let y = 0, index = 0; y < height; y++) {
    const up = y ? -width : 0;
    const down = y < height - 1 ? width : 0;
    for (let x = 0; x < width; x++, index++) {
      if (!labels[index]) continue;
      const left = x ? -1 : 0;
      const right = x < width - 1 ? 1 : 0;
      const inside = labels[index + left] && labels[index + right] && labels[index + up] && labels[index + down];
      const stripe = (x + y) & 7;
      if (!inside) out[index] = stripe & 2 ? dark : light;
      else if (stripe < 2) out[index] = stripe ? dark : light;
    }
  }
  return out;
}

/**
 * Compare two label maps pixel by pixel.
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 * @param {Uint8Array} meaning label of `b` -> label of `a` with the same name, or 255
 * @returns {{ labels: Uint8Array<ArrayBuffer>, pairs: Uint32Array }} 1 where they differ; counts (256 x 256) of label of
 *     `a`, label of `b`
 */
export function differences(a, b, meaning) {
  const labels = new Uint8Array(a.length);
  const pairs = new Uint32Array(65536);
  for (let index = 0; index < a.length; index++) {
    if (a[index] === meaning[b[index]]) continue;
    labels[index] = 1;
    pairs[(a[index] << 8) | b[index]]++;
  }
  return { labels, pairs };
}
