/**
 * PNG files of numbers: labels, object ids, confidences. Reads the stored values themselves, palette indices included;
 * a browser's own decoder would give colours instead, and may change them to fit the screen.
 *
 * ISO/IEC 15948. One channel or RGB in 8 bits, or a palette of 8 bits, not interlaced.
 */

/** One number a pixel; of RGB, it is R + 256 G + 65536 B. */
/** @typedef {{ width: number, height: number, values: Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> }} Plane */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * @param {Uint8Array<ArrayBuffer>} bytes of the file
 * @returns {Promise<Plane>}
 */
export async function decodePlane(bytes) {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SIGNATURE.some((value, index) => bytes[index] !== value)) throw new Error("a mask of the service is no PNG file");
  const width = header.getUint32(16);
  const height = header.getUint32(20);
  const [depth, kind, , , interlaced] = bytes.subarray(24, 29);
  const channels = { 0: 1, 2: 3, 3: 1 }[kind];
  if (depth !== 8 || !channels || interlaced) {
    throw new Error(`a mask of the service has ${depth} bits and colour type ${kind}, and 8 bits and 0, 2 or 3 are read`);
  }
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  for (let at = 8; at < bytes.length; ) {
    const length = header.getUint32(at);
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const inflated = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(inflated).arrayBuffer());
  const plain = unfiltered(rows, width * channels, height, channels);
  return { width, height, values: channels === 1 ? plain : joined(plain) };
}

/**
 * @param {Uint8Array} rows one filter byte and `stride` bytes a row
 * @param {number} stride
 * @param {number} height
 * @param {number} size bytes of a pixel
 */
function unfiltered(rows, stride, height, size) {
  if (rows.length !== (stride + 1) * height) throw new Error("a mask of the service is cut short");
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1) + 1;
    const row = rows.subarray(from, from + stride);
    const to = y * stride;
    const above = y ? out.subarray(to - stride, to) : new Uint8Array(stride);
    unfilter(rows[from - 1], row, above, out.subarray(to, to + stride), size);
  }
  return out;
}

/**
 * Restore one row: each byte is stored as its difference from a prediction (section 9 of the standard). Each filter has
 * a loop of its own, since all bytes of an image of 12 megapixels pass here.
 * @param {number} filter
 * @param {Uint8Array} row
 * @param {Uint8Array} above
 * @param {Uint8Array} out
 * @param {number} size bytes of a pixel
 */
function unfilter(filter, row, above, out, size) {
  const length = row.length;
  if (filter === 0) out.set(row);
  else if (filter === 2) {
    for (let x = 0; x < length; x++) out[x] = row[x] + above[x];
  } else if (filter === 1) {
    for (let x = 0; x < size; x++) out[x] = row[x];
    for (let x = size; x < length; x++) out[x] = row[x] + out[x - size];
  } else if (filter === 3) {
    for (let x = 0; x < size; x++) out[x] = row[x] + (above[x] >> 1);
    for (let x = size; x < length; x++) out[x] = row[x] + ((out[x - size] + above[x]) >> 1);
  } else {
    for (let x = 0; x < size; x++) out[x] = row[x] + above[x];
    for (let x = size; x < length; x++) out[x] = row[x] + paeth(out[x - size], above[x], above[x - size]);
  }
}

/**
 * @param {number} left
 * @param {number} up
 * @param {number} corner
 * @returns {number} the one that is nearest to left + up - corner
 */
function paeth(left, up, corner) {
  const byLeft = Math.abs(up - corner);
  const byUp = Math.abs(left - corner);
  const byCorner = Math.abs(left + up - 2 * corner);
  if (byLeft <= byUp && byLeft <= byCorner) return left;
  return byUp <= byCorner ? up : corner;
}

/** @param {Uint8Array} bytes three a value, the least significant first */
function joined(bytes) {
  const values = new Uint32Array(bytes.length / 3);
  for (let index = 0, at = 0; index < values.length; index++, at += 3) {
    values[index] = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
  }
  return values;
}

/**
 * @param {ArrayLike<number>} values one a pixel
 * @param {number} width
 * @param {number} height
 * @param {number[][] | null} palette RGB of each value, for a file of 8 bits; without one it has 16 bits
 * @returns {Promise<Uint8Array<ArrayBuffer>>} the file
 */
export async function encodePlane(values, width, height, palette) {
  const size = palette ? 1 : 2;
  const rows = new Uint8Array(height * (width * size + 1));
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    to++;
    for (let x = 0; x < width; x++, from++) {
      if (!palette) rows[to++] = values[from] >> 8;
      rows[to++] = values[from];
    }
  }
  const deflated = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const data = new Uint8Array(await new Response(deflated).arrayBuffer());
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8 * size, palette ? 3 : 0], 8);
  const colours = palette ? [chunk("PLTE", Uint8Array.from(palette.flat()))] : [];
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", header), ...colours, chunk("IDAT", data), chunk("IEND", new Uint8Array(0))];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/**
 * @param {string} name
 * @param {Uint8Array} data
 */
function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let index = 0; index < 4; index++) bytes[4 + index] = name.charCodeAt(index);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc(bytes.subarray(4, data.length + 8)));
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, start) => {
  let value = start;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
