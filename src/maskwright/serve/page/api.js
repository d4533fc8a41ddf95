/** The service: the only module that knows its addresses and its answers. */

/** @typedef {{ index: number, name: string, color: number[], background: boolean, pixels: number, share: number }} ClassArea */
/**
 * One object. `rings` are outlines in pixels of the image, holes included, to be filled by the even-odd rule.
 * @typedef {{ id: number, index: number, name: string, score: number, area: number, box: number[], rings: number[][][] }} Item
 */
/**
 * What a model found in an image; `mask`, `ids` and `confidence` are PNG files.
 * @typedef {object} Result
 * @property {string} model
 * @property {string} task
 * @property {number} width
 * @property {number} height
 * @property {{ queue: number, decode: number, predict: number }} milliseconds of the service
 * @property {ClassArea[]} classes
 * @property {Item[]} objects
 * @property {boolean} hasObjects
 * @property {Uint8Array<ArrayBuffer>} mask
 * @property {Uint8Array<ArrayBuffer> | null} ids
 * @property {Uint8Array<ArrayBuffer>} confidence
 * @property {Blob | null} picture the image as JPEG, maybe reduced; for formats that browsers cannot decode
 * @property {object} document of the service, for saving
 */
/** @typedef {{ index: number, name: string, color: number[], background: boolean }} ClassEntry */
/** @typedef {{ name: string, task: string, architecture: string, upright: boolean, classes: ClassEntry[] }} Model */
/** @typedef {{ id: string, name: string }} Entry */

const TOKEN = "maskwright-token";

/** A request that was not answered as asked: what was given, what rule it breaks, what to do. */
export class ServiceError extends Error {
  /**
   * @param {number} status of HTTP; 0 if no answer came
   * @param {{ value?: string, rule?: string, cure?: string, detail?: string, title?: string }} problem
   * @param {string | null} [after] its header Retry-After
   */
  constructor(status, { value, rule, cure, detail, title }, after = null) {
    super(value && rule ? `${value}, but ${rule}` : (detail ?? title ?? "the service failed"));
    this.status = status;
    this.value = value ?? null;
    this.rule = rule ?? null;
    this.cure = cure ?? null;
    /** Seconds after which to ask again; null where the service names none. */
    this.seconds = /^\d+$/.test(after ?? "") ? Math.max(1, Number(after)) : null;
  }
}

/** @param {string} token */
export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/**
 * @param {string} address
 * @param {RequestInit} [options]
 */
async function ask(address, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  let answer;
  try {
    answer = await fetch(address, { ...options, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ServiceError(0, { value: "The service does not answer", rule: "the page needs it", cure: "see whether maskwright serve is still running, then try again" });
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ title: `the service answered ${answer.status} ${answer.statusText}` }));
  throw new ServiceError(answer.status, problem, answer.headers.get("Retry-After"));
}

/** @returns {Promise<Model[]>} */
export async function models() {
  const { models: found } = await (await ask("/v1/model")).json();
  return found;
}

/** @returns {Promise<Entry[]>} */
export async function gallery() {
  const { images } = await (await ask("/v1/gallery")).json();
  return images;
}

/**
 * @param {Entry} entry
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>} the file of the image
 */
export async function galleryImage({ id }, signal) {
  return (await ask(`/v1/gallery/${encodeURIComponent(id)}`, { signal })).blob();
}

/**
 * @param {Blob} image
 * @param {Model} model
 * @param {boolean} picture whether to send the image back in a format for browsers
 * @param {AbortSignal} [signal]
 * @returns {Promise<Result>}
 */
export async function predict(image, model, picture, signal) {
  const query = new URLSearchParams({ model: model.name, output: "bundle", image: String(picture) });
  const headers = { "Content-Type": "application/octet-stream" };
  const answer = await ask(`/v1/predict?${query}`, { method: "POST", body: image, headers, signal });
  const form = await answer.formData();
  const content = JSON.parse(String(form.get("document")));
  return {
    ...content,
    classes: model.classes.map((entry) => ({ ...entry, ...content.classes[entry.index] })),
    objects: (content.objects ?? []).map(itemOf),
    hasObjects: "objects" in content,
    mask: await partOf(form, "labels"),
    ids: form.has("ids") ? await partOf(form, "ids") : null,
    confidence: await partOf(form, "confidence"),
    picture: form.get("image"),
    document: content,
  };
}

/**
 * @param {FormData} form
 * @param {string} name
 */
async function partOf(form, name) {
  return new Uint8Array(await /** @type {File} */ (form.get(name)).arrayBuffer());
}

/**
 * @param {any} entry
 * @returns {Item}
 */
function itemOf(entry) {
  const { id, index, score, area, bbox, polygons } = entry;
  return { id, index, name: entry.class, score, area, box: bbox, rings: polygons.flat() };
}
