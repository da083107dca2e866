/**
 * Listens to the system calls of a running function: what it reads (to wake subscriptions and to find
 * conflicts), what it writes (with Convex's limits), what it prints, what it schedules; in which component.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { checkDocument } from "./limits.mjs";
import { JOBS, setState } from "./jobs.mjs";
import { tableOf } from "./prefixes.mjs";
import { followTransactions } from "./transactions.mjs";

const running = new AsyncLocalStorage();
/** `found`: documents that its reads returned; `committed`: documents that were written for good. */
export const newTrace = () => ({ ...emptyLists(), found: 0, committed: 0 });
const emptyLists = () => ({ reads: [], writes: [], logs: [], scheduled: [], cancelled: [], marks: [] });
export const traced = (trace, run) => running.run(trace, run);
export const untraced = (run) => running.exit(run);

let library; // of the bundle
let host; // { requireTarget(target, args), committed(trace), transaction(component, run) }
const here = () => library.getCurrentComponentPath();

/** To be called once, after convex-test has put its own `Convex` into the global scope. */
export function installTap(bundled, backend) {
  library = bundled;
  host = backend;
  const inner = globalThis.Convex;
  globalThis.Convex = {
    syscall(op, args) {
      const trace = running.getStore();
      if (trace && op === "1.0/queryStream") trace.reads.push(readOf(JSON.parse(args).query));
      return inner.syscall(op, args);
    },
    asyncSyscall: (op, args) => asyncSyscall(inner, op, args),
    jsSyscall: (op, args) => inner.jsSyscall(op, args),
  };
  followTransactions(library.TransactionManager, () => running.getStore(), host.committed);
  captureConsole();
}

async function asyncSyscall(inner, op, args) {
  const trace = running.getStore();
  if (!trace) return await inner.asyncSyscall(op, args);
  if (op === "1.0/queryStreamNext") return await next(inner, trace, args);
  const parsed = JSON.parse(args);
  switch (op) {
    case "1.0/schedule":
      return JSON.stringify(await schedule(trace, parsed));
    case "1.0/actions/schedule":
      return JSON.stringify(await host.transaction(here(), () => schedule(trace, parsed)));
    case "1.0/cancel_job":
      cancel(trace, parsed.id);
      return "{}";
    case "1.0/actions/cancel_job":
      await host.transaction(here(), () => cancel(trace, parsed.id));
      return "{}";
    case "1.0/runUdf":
      await host.requireTarget(targetOf(parsed), parsed.args);
      if (parsed.udfType !== "snapshotQuery") break;
      // reads of a stale snapshot are no part of the transaction
      return await traced({ ...newTrace(), logs: trace.logs }, () => inner.asyncSyscall(op, args));
    case "1.0/get":
      trace.reads.push({ component: here(), id: parsed.id });
      trace.found++;
      break;
    case "1.0/queryPage":
      if (here() !== "") throw new Error(PAGINATION);
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

async function next(inner, trace, args) {
  const result = await inner.asyncSyscall("1.0/queryStreamNext", args);
  if (!JSON.parse(result).done) trace.found++;
  return result;
}

const PAGINATION =
  "PaginationUnsupportedInComponents: paginate() is only supported in the app. " +
  "Learn more at https://docs.convex.dev/components/authoring#pagination";

/** A function by name is the same component's, by reference a child's, by handle anybody's. */
function targetOf({ name, reference, functionHandle }) {
  const { componentPath, udfPath } = library.getFunctionPathFromAddress({ name, reference, functionHandle });
  const isForeign = componentPath !== here();
  return { component: componentPath, path: udfPath, isForeign, isHandle: functionHandle !== undefined };
}

/** Writes the job's row; it starts when the transaction commits. */
async function schedule(trace, parsed) {
  const target = targetOf(parsed);
  await host.requireTarget(target, parsed.args);
  const at = parsed.ts * 1000;
  const { component, path } = target;
  const args = [library.jsonToConvex(parsed.args)];
  const row = { name: path.replace(":", ".js:"), args, scheduledTime: at, state: { kind: "pending" } };
  const id = library.getDb().insert(JOBS, row);
  trace.writes.push({ component: here(), id, table: JOBS, before: null, after: row });
  trace.scheduled.push({ id, scheduledIn: here(), component, path, args: parsed.args, at });
  return id;
}

/** Convex does not mind if the job has run. */
function cancel(trace, id) {
  const before = library.getDb().get(JOBS, id);
  if (before?.state.kind !== "pending") return;
  setState(library.getDb(), id, "canceled");
  trace.writes.push({ component: here(), id, table: JOBS, before, after: library.getDb().get(JOBS, id) });
  trace.cancelled.push(id);
}

async function insert(inner, trace, parsed, args) {
  checkDocument(parsed.value);
  const result = await inner.asyncSyscall("1.0/insert", args);
  const { _id: id } = JSON.parse(result);
  trace.writes.push({ component: here(), id, table: parsed.table, before: null, after: parsed.value });
  return result;
}

async function noteWrite(inner, trace, op, { id, value }) {
  if (value) checkDocument(value);
  trace.reads.push({ component: here(), id });
  const before = JSON.parse(await inner.asyncSyscall("1.0/get", JSON.stringify({ id })));
  const after = op === "1.0/remove" ? null : op === "1.0/shallowMerge" ? { ...before, ...value } : value;
  if (before !== null) trace.writes.push({ component: here(), id, table: tableOf(id), before, after });
}

function readOf({ source }) {
  if (source.type === "FullTableScan") return { component: here(), table: source.tableName, range: [] };
  return { component: here(), table: source.indexName.split(".")[0], range: source.range ?? [] };
}

/** Would this write change what that read saw? */
export function touches(write, read) {
  if (read.component !== write.component) return false;
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
