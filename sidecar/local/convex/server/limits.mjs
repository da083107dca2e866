/** Convex's limits of a document. */
const DOCUMENT_BYTES_MAX = 1 << 20;
const NESTING_MAX = 16;
const ARRAY_MAX = 8192;
const FIELDS_MAX = 1024;

/** Throws Convex's sentence about what is too large, deep or long in `json`. */
export function checkDocument(json) {
  const bytes = Buffer.byteLength(JSON.stringify(json));
  if (bytes > DOCUMENT_BYTES_MAX) {
    throw new Error(`Value is too large (${(bytes / (1 << 20)).toFixed(2)} MiB > maximum size 1 MiB)`);
  }
  checkShape(json, 0);
}

function checkShape(value, depth) {
  if (value === null || typeof value !== "object") return;
  if (depth > NESTING_MAX) {
    throw new Error("Document is too nested (nested 17 levels deep > maximum nesting 16)");
  }
  const size = Object.keys(value).length;
  if (Array.isArray(value) && size > ARRAY_MAX) {
    throw new Error(`Array length is too long (${size} > maximum length ${ARRAY_MAX})`);
  }
  if (!Array.isArray(value) && size > FIELDS_MAX) {
    throw new Error(`Object has too many fields (${size} > maximum number ${FIELDS_MAX})`);
  }
  for (const inner of Object.values(value)) checkShape(inner, depth + 1);
}
