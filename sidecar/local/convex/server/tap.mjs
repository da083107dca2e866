/**
 * Listens to the system calls of a running function: what it reads (to wake subscriptions and to find
 * conflicts), what it writes (with Convex's limits), what it prints, what it schedules.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { tableOf } from "./prefixes.mjs";

const DOCUMENT_BYTES_MAX = 1 << 20;
const NESTING_MAX = 16;
const ARRAY_MAX = 8192;
const FIELDS_MAX = 1024;

const running = new AsyncLocalStorage();
export const newTrace = () => ({ reads: [], writes: [], logs: [], scheduled: [] });
export const traced = (trace, run) => running.run(trace, run);
export const untraced = (run) => running.exit(run);

/** To be called once, after convex-test has put its own `Convex` into the global scope. */
export function installTap(scheduleAction) {
  const inner = globalThis.Convex;
  globalThis.Convex = {
    syscall(op, args) {
      const trace = running.getStore();
      if (trace && op === "1.0/queryStream") trace.reads.push(readOf(JSON.parse(args).query));
      return inner.syscall(op, args);
    },
    asyncSyscall: (op, args) => asyncSyscall(inner, op, args, scheduleAction),
    jsSyscall: (op, args) => inner.jsSyscall(op, args),
  };
  captureConsole();
}

async function asyncSyscall(inner, op, args, scheduleAction) {
  const trace = running.getStore();
  if (!trace || op === "1.0/queryStreamNext") return await inner.asyncSyscall(op, args);
  const parsed = JSON.parse(args);
  switch (op) {
    case "1.0/schedule":
    case "1.0/actions/schedule": {
      const job = { path: parsed.name, args: parsed.args, at: parsed.ts * 1000 };
      if (op === "1.0/schedule") trace.scheduled.push(job); // starts when the mutation commits
      else scheduleAction(job);
      return JSON.stringify(`${String(trace.scheduled.length).padStart(11, "0")}_scheduled_functions`);
    }
    case "1.0/runUdf":
      if (parsed.udfType !== "snapshotQuery") break;
      // reads of a stale snapshot are no part of the transaction
      return await traced({ ...newTrace(), logs: trace.logs }, () => inner.asyncSyscall(op, args));
    case "1.0/get":
      trace.reads.push({ id: parsed.id });
      break;
    case "1.0/queryPage":
      trace.reads.push(readOf(parsed.query));
      break;
    case "1.0/insert":
      return await insert(inner, trace, parsed, args);
    case "1.0/shallowMerge":
    case "1.0/replace":
    case "1.0/remove":
      await noteWrite(inner, trace, op, parsed);
  }
  return await inner.asyncSyscall(op, args);
}

async function insert(inner, trace, parsed, args) {
  checkDocument(parsed.value);
  const result = await inner.asyncSyscall("1.0/insert", args);
  trace.writes.push({ id: JSON.parse(result)._id, table: parsed.table, before: null, after: parsed.value });
  return result;
}

async function noteWrite(inner, trace, op, { id, value }) {
  if (value) checkDocument(value);
  trace.reads.push({ id });
  const before = JSON.parse(await inner.asyncSyscall("1.0/get", JSON.stringify({ id })));
  const after = op === "1.0/remove" ? null : op === "1.0/shallowMerge" ? { ...before, ...value } : value;
  trace.writes.push({ id, table: tableOf(id), before, after });
}

function readOf({ source }) {
  if (source.type === "FullTableScan") return { table: source.tableName, range: [] };
  return { table: source.indexName.split(".")[0], range: source.range ?? [] };
}

/** Would this write change what that read saw? */
export function touches(write, read) {
  if (read.id !== undefined) return read.id === write.id;
  if (read.table !== write.table) return false;
  return [write.before, write.after].some(
    (document) => document && read.range.every((bound) => isWithin(document, bound)),
  );
}

function isWithin(document, { fieldPath, type, value }) {
  const found = fieldPath.split(".").reduce((object, key) => object?.[key], document);
  const order = compare(found, value);
  switch (type) {
    case "Eq":
      return order === 0;
    case "Gt":
      return order > 0;
    case "Gte":
      return order >= 0;
    case "Lt":
      return order < 0;
    case "Lte":
      return order <= 0;
  }
}

/** Convex's order of what our indexes hold: a missing field, null, numbers, booleans, strings. */
function compare(one, other) {
  const [a, b] = [one, other].map((value) => (value?.$undefined === undefined ? value : undefined));
  const order = RANKS.indexOf(kindOf(a)) - RANKS.indexOf(kindOf(b));
  if (order !== 0 || a === undefined || a === null) return order;
  return a < b ? -1 : a > b ? 1 : 0;
}

const RANKS = ["undefined", "null", "number", "boolean", "string"];
const kindOf = (value) => (value === null ? "null" : typeof value);

function checkDocument(json) {
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

function captureConsole() {
  for (const level of ["log", "info", "warn", "error", "debug"]) {
    const print = console[level].bind(console);
    console[level] = (...parts) => {
      const trace = running.getStore();
      if (!trace) return print(...parts);
      const text = parts.map((part) => (typeof part === "string" ? `'${part}'` : JSON.stringify(part)));
      trace.logs.push(`[${level.toUpperCase()}] ${text.join(" ")}`);
    };
  }
}
