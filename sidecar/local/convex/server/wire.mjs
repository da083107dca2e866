/** Values and errors as Convex writes them. */
import { FunctionError, isConvexError } from "./errors.mjs";

/** `convexToJson` of the bundled convex/values; "json" is the clean form, "encoded" the lossless one. */
export class Wire {
  #convexToJson;
  #redact;

  constructor(convexToJson, { redact }) {
    this.#convexToJson = convexToJson;
    this.#redact = redact;
  }

  /** A float64 is printed with its point: 3 is 3.0, and a Python client reads a float. */
  encode(value, format) {
    if (value === undefined || value === null) return "null";
    if (typeof value === "number") return this.#number(value, format);
    if (typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
    if (typeof value === "bigint" || value instanceof ArrayBuffer) return this.#special(value, format);
    if (Array.isArray(value)) return `[${value.map((item) => this.encode(item, format)).join(",")}]`;
    const fields = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${fields.map(([key, item]) => `${JSON.stringify(key)}:${this.encode(item, format)}`).join(",")}}`;
  }

  #number(value, format) {
    if (Number.isFinite(value) && !Object.is(value, -0)) {
      return Number.isInteger(value) && Math.abs(value) < 1e16 ? value.toFixed(1) : String(value);
    }
    if (format === "encoded") return JSON.stringify(this.#convexToJson(value));
    return Object.is(value, -0) ? "-0.0" : JSON.stringify(String(value));
  }

  #special(value, format) {
    if (format === "encoded") return JSON.stringify(this.#convexToJson(value));
    return JSON.stringify(typeof value === "bigint" ? String(value) : Buffer.from(value).toString("base64"));
  }

  errorText(error, requestId) {
    const text = `[Request ID: ${requestId}] Server Error`;
    if (this.#redact) return text;
    if (error instanceof FunctionError) return `${text}\n${error.message}`;
    if (!isConvexError(error)) return `${text}\nUncaught Error: ${error.message}`;
    const data = typeof error.data === "string" ? error.data : JSON.stringify(error.data);
    return `${text}\nUncaught ConvexError: ${data}`;
  }

  errorData(error, format) {
    return isConvexError(error) ? `,"errorData":${this.encode(error.data, format)}` : "";
  }

  logLines(trace) {
    return JSON.stringify(this.#redact ? [] : trace.logs);
  }

  /** The body of /api/query, /api/mutation and /api/action. */
  result({ value, error, trace }, format, requestId) {
    const logs = this.#redact || trace.logs.length === 0 ? "" : `,"logLines":${this.logLines(trace)}`;
    if (!error) return `{"status":"success","value":${this.encode(value, format)}${logs}}`;
    const message = JSON.stringify(this.errorText(error, requestId));
    return `{"status":"error","errorMessage":${message}${this.errorData(error, format)}${logs}}`;
  }
}
