/** Finds and runs functions: queries on the newest snapshot, mutations one after the other, with conflicts. */
import { setTimeout as sleep } from "node:timers/promises";
import { FunctionError, SystemError } from "./errors.mjs";
import { ADMIN } from "./identities.mjs";
import { Permits } from "./permits.mjs";
import { patchDatabase } from "./prefixes.mjs";
import { Scheduler } from "./scheduler.mjs";
import { installTap, newTrace, touches, traced } from "./tap.mjs";
import { validate } from "./validation.mjs";

const COMMITS_KEPT = 10_000;
const BACKOFF_MAX_MS = 2000;
const FUNCTION_NAME = Symbol.for("functionName");
const RIGHTS = { Query: "RunInternalQueries", Mutation: "RunInternalMutations", Action: "RunInternalActions" };

class Rollback extends Error {}

export class Backend {
  paused = false;
  onCommit = () => {};
  #functions;
  #options;
  #test; // the convex-test instance
  #commits = []; // { number, writes } of the newest commits
  #commitNumber = 0;
  #permits;
  #scheduler;
  #stats;

  constructor(functions, options) {
    this.#functions = functions;
    this.#options = options;
    this.#permits = new Permits(options);
    this.#scheduler = new Scheduler((job) => this.invoke(null, job.path, job.args, ADMIN));
    patchDatabase(functions.library.DatabaseFake);
    this.reset();
    installTap((job) => this.#scheduler.add(job));
  }

  reset() {
    this.#scheduler.clear();
    const { schema, modules, library } = this.#functions;
    this.#test = library.convexTest({ schema, modules, transactionLimits: true });
    this.#commits = [];
    this.#stats = { calls: {}, conflicts: {}, exhausted: 0 }; // by function, by table
    this.paused = false;
  }

  get convexToJson() {
    return this.#functions.library.convexToJson;
  }

  get stats() {
    return { ...this.#stats, refused: this.#permits.refused, commits: this.#commitNumber };
  }

  async settle() {
    return await this.#scheduler.settle();
  }

  async table(name) {
    return await this.#test.run((ctx) => ctx.db.query(name).collect());
  }

  /** Returns { value, trace } or { error, trace }; throws SystemError for what never ran. */
  async invoke(kind, path, jsonArgs, identity) {
    const trace = newTrace();
    try {
      if (this.paused) throw new FunctionError(PAUSED);
      const target = await this.#resolve(path, kind, identity);
      const args = this.#parse(target, jsonArgs);
      this.#stats.calls[target.path] = (this.#stats.calls[target.path] ?? 0) + 1;
      return { value: await this.#run(target, args, identity, trace), trace };
    } catch (error) {
      if (error instanceof SystemError) throw error;
      return { error, trace };
    }
  }

  async #run(target, args, identity, trace) {
    const test = identity.kind === "user" ? this.#test.withIdentity(identity.identity) : this.#test;
    const reference = { [FUNCTION_NAME]: target.path };
    if (target.kind === "Mutation") return await this.#runMutation(test, reference, args, trace);
    const run = target.kind === "Query" ? test.query : test.action;
    return await traced(trace, () => run(reference, args));
  }

  async #resolve(path, kind, identity) {
    const [file, name = "default"] = path.split(":");
    const module = file.replace(/\.js$/, "");
    if (!/^[\w./]+$/.test(module)) {
      throw new SystemError(400, "BadConvexFunctionIdentifier", `${path} is not a valid path to a Convex function.`);
    }
    const load = module.startsWith("_") ? undefined : this.#functions.modules[`./${module}.js`];
    const found = (await load?.())?.[name];
    const actual = found?.isQuery ? "Query" : found?.isMutation ? "Mutation" : found?.isAction ? "Action" : null;
    if (actual === null || (found.isInternal && identity.kind !== "admin")) {
      throw new FunctionError(`Could not find public function for '${path}'.`);
    }
    if (found.isInternal) requireRight(identity, RIGHTS[actual]);
    if (kind && kind !== actual) {
      throw new FunctionError(`Trying to execute ${module}.js:${name} as ${kind}, but it is defined as ${actual}.`);
    }
    return { found, kind: actual, path: `${module}:${name}` };
  }

  #parse({ found, path }, jsonArgs) {
    const json = Array.isArray(jsonArgs) ? (jsonArgs[0] ?? {}) : jsonArgs;
    let args;
    try {
      args = this.#functions.library.jsonToConvex(json);
    } catch (error) {
      throw new FunctionError(`Invalid arguments for ${path}: ${error.message}`);
    }
    validate(JSON.parse(found.exportArgs()), args);
    return args;
  }

  /**
   * convex-test runs one transaction after the other, so nothing ever conflicts in it. With execMs the
   * mutation runs once and is rolled back, which yields its reads; if a commit touches them within the
   * time, it is tried again on Convex's schedule and at last refused.
   */
  async #runMutation(test, reference, args, trace) {
    await this.#permits.acquire();
    try {
      for (let attempt = 0; ; attempt++) {
        const conflict = this.#options.execMs > 0 ? await this.#findConflict(test, reference, args) : null;
        if (conflict === null) return await this.#commit(test, reference, args, trace);
        this.#stats.conflicts[conflict.table] = (this.#stats.conflicts[conflict.table] ?? 0) + 1;
        if (attempt >= this.#options.occRetries) throw this.#exhausted(conflict);
        const backoff = Math.min(BACKOFF_MAX_MS, this.#options.occBackoffMs * 2 ** attempt);
        await sleep(backoff * (0.5 + Math.random() / 2));
      }
    } finally {
      this.#permits.release();
    }
  }

  async #findConflict(test, reference, args) {
    const since = this.#commitNumber;
    const trial = newTrace();
    await traced(trial, () => runAndRollBack(test, reference, args));
    await sleep(this.#options.execMs * (0.5 + Math.random()));
    const writes = this.#commits.filter(({ number }) => number > since).flatMap((commit) => commit.writes);
    return writes.find((write) => trial.reads.some((read) => touches(write, read))) ?? null;
  }

  async #commit(test, reference, args, trace) {
    const value = await traced(trace, () => test.mutation(reference, args));
    if (trace.writes.length > 0) {
      this.#commits.push({ number: ++this.#commitNumber, writes: trace.writes });
      if (this.#commits.length > 2 * COMMITS_KEPT) this.#commits.splice(0, COMMITS_KEPT);
      this.onCommit(trace.writes);
    }
    trace.scheduled.forEach((job) => this.#scheduler.add(job));
    return value;
  }

  #exhausted(conflict) {
    this.#stats.exhausted++;
    return new SystemError(
      503,
      "OptimisticConcurrencyControlFailure",
      `Documents read from or written to the "${conflict.table}" table changed while this mutation was ` +
        "being run and on every subsequent retry.",
    );
  }
}

const PAUSED =
  "Cannot run functions while this deployment is paused. Resume the deployment in the dashboard settings " +
  "to allow functions to run.";

function requireRight({ rights }, right) {
  if (!rights || rights.has(right)) return;
  const name = right[0].toLowerCase() + right.slice(1);
  throw new FunctionError(`You do not have permission to perform this operation (deployment:functions:${name}).`);
}

async function runAndRollBack(test, reference, args) {
  const rollback = new Rollback("rolled back on purpose");
  try {
    await test.mutation(async (ctx) => {
      await ctx.runMutation(reference, args).catch(() => {}); // the real run reports what is wrong
      throw rollback;
    });
  } catch (error) {
    if (!String(error?.message).includes(rollback.message)) throw error;
  }
}
