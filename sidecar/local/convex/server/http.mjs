/** Convex's HTTP API, with faults on demand. */
import { randomBytes } from "node:crypto";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Control } from "./control.mjs";
import { SystemError } from "./errors.mjs";
import { Wire } from "./wire.mjs";

const BODY_BYTES_MAX = (1 << 24) + 2000;
const KINDS = { query: "Query", mutation: "Mutation", action: "Action", function: null };
const FORMATS = { convex_encoded_json: "encoded", convex_json: "encoded", json: "json", convex_clean_json: "json" };

export function createHttpServer({ backend, identities, options }) {
  const wire = new Wire(backend.convexToJson, options);
  const control = new Control({ backend, identities, options, wire });
  const server = http.createServer((request, response) => {
    handle({ backend, identities, wire, control }, new Exchange(request, response));
  });
  server.keepAliveTimeout = 60_000;
  return server;
}

/** One request and its answer. */
class Exchange {
  constructor(request, response) {
    this.request = request;
    this.response = response;
    this.url = new URL(request.url, "http://local");
    this.id = request.headers["convex-request-id"] ?? randomBytes(8).toString("hex");
  }

  send(status, text, type = "application/json") {
    if (this.response.destroyed) return;
    this.response.writeHead(status, { "content-type": type, "convex-request-id": this.id, ...this.#shared() });
    this.response.end(text);
  }

  /** Pages of any origin may call functions, as with Convex; the control endpoint is for our own tools. */
  #shared() {
    if (!this.url.pathname.startsWith("/api/")) return {};
    return {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, POST",
      "access-control-allow-headers": this.request.headers["access-control-request-headers"] ?? "*",
      "access-control-max-age": "600",
    };
  }

  fail({ status, code, message }) {
    this.send(status, JSON.stringify({ code, message }));
  }

  async text() {
    const chunks = [];
    let bytes = 0;
    for await (const chunk of this.request) {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
    }
    if (bytes > BODY_BYTES_MAX) throw badBody("Failed to buffer the request body: length limit exceeded");
    return Buffer.concat(chunks).toString();
  }

  async json(...fields) {
    if (!/^application\/([a-z.+-]*\+)?json/i.test(this.request.headers["content-type"] ?? "")) {
      throw badBody("Expected request with `Content-Type: application/json`");
    }
    const body = parseJson(await this.text());
    const missing = fields.find((field) => body[field] === undefined);
    if (missing === undefined) return body;
    throw badBody(`Failed to deserialize the JSON body into the target type: missing field \`${missing}\``);
  }
}

const badBody = (message) => new SystemError(400, "BadJsonBody", message);

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badBody(`Failed to parse the request body as JSON: ${error.message}`);
  }
}

function formatOf(name) {
  const format = FORMATS[name ?? "json"];
  if (format) return format;
  throw new SystemError(400, "BadFormat", `format param must be one of [\`json\`]. Got ${name}`);
}

async function handle(parts, exchange) {
  try {
    await route(parts, exchange);
  } catch (error) {
    if (error instanceof SystemError) return exchange.fail(error);
    console.error(error);
    const message = "Your request couldn't be completed. Try again later.";
    exchange.fail({ status: 500, code: "InternalServerError", message });
  }
}

async function route(parts, exchange) {
  const { pathname } = exchange.url;
  if (pathname === "/version") return exchange.send(200, "sidecar-local", "text/plain");
  if (pathname === "/instance_name") return exchange.send(200, "local", "text/plain");
  if (pathname.startsWith("/__local/")) return await parts.control.handle(pathname.slice(9), exchange);
  if (!pathname.startsWith("/api/")) return exchange.send(404, "");
  if (exchange.request.method === "OPTIONS") return exchange.send(200, "");
  const endpoint = pathname.slice("/api/".length);
  if (endpoint === "query" && exchange.request.method === "GET") return await call(parts, exchange, getCall(exchange));
  if (exchange.request.method !== "POST") return exchange.send(405, "");
  if (endpoint === "query_batch") return await callBatch(parts, exchange);
  if (endpoint === "query_ts") return exchange.send(200, JSON.stringify({ ts: now() }));
  if (endpoint.startsWith("run/")) return await call(parts, exchange, await runCall(exchange, endpoint));
  if (!(endpoint in KINDS)) return exchange.send(404, "");
  const body = await exchange.json("path", "args");
  const adminOnly = endpoint === "function";
  const component = adminOnly ? (body.componentPath ?? "") : "";
  await call(parts, exchange, { ...body, kind: KINDS[endpoint], adminOnly, component });
}

function getCall({ url }) {
  const args = parseJson(url.searchParams.get("args") ?? "{}");
  const format = url.searchParams.get("format") ?? undefined;
  return { kind: "Query", path: url.searchParams.get("path") ?? "", args, format };
}

async function runCall(exchange, endpoint) {
  const body = await exchange.json("args");
  const names = endpoint.slice("run/".length).split("/").map(decodeURIComponent);
  if (names.length < 2) {
    throw new SystemError(400, "MissingIdentifier", "Path or function name not provided in path, e.g. /api/run/messages/list");
  }
  const name = names.pop();
  return { ...body, kind: null, path: `${names.join("/")}:${name}` };
}

async function call({ backend, identities, wire, control }, exchange, asked) {
  const { kind, path, args, format, adminOnly, component } = asked;
  const fault = control.takeFault(path);
  if (fault?.action === "error") return exchange.send(fault.status, faultBody(fault), fault.type);
  if (fault?.action === "drop_before") return exchange.request.socket.destroy();
  if (fault?.action === "hang") return;
  if (fault?.action === "delay") await sleep(fault.ms);
  const identity = await identities.ofRequest(exchange.request.headers.authorization, args);
  const encoding = formatOf(format);
  if (adminOnly && identity.kind !== "admin") throw new SystemError(403, "Unauthorized", "Not authorized");
  const result = await backend.invoke(kind, path, args, identity, component);
  if (fault?.action === "drop_after") return exchange.request.socket.destroy();
  if (fault?.action === "error_after") return exchange.send(fault.status, faultBody(fault), fault.type);
  exchange.send(200, wire.result(result, encoding, exchange.id));
}

function faultBody({ body, code, message }) {
  return body ?? JSON.stringify({ code, message: message ?? code });
}

async function callBatch({ backend, identities, wire }, exchange) {
  const { queries } = await exchange.json("queries");
  const results = [];
  for (const { path, args, format } of queries) {
    const identity = await identities.ofRequest(exchange.request.headers.authorization, args);
    results.push(wire.result(await backend.invoke("Query", path, args, identity), formatOf(format), exchange.id));
  }
  exchange.send(200, `{"results":[${results.join(",")}]}`);
}

function now() {
  const nanoseconds = Buffer.alloc(8);
  nanoseconds.writeBigUInt64LE(BigInt(Date.now()) * 1_000_000n);
  return nanoseconds.toString("base64");
}
