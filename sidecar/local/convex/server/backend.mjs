/** Finds and runs functions: queries on the newest snapshot, mutations one after the other, with conflicts. */
import { setTimeout as sleep } from "node:timers/promises";
import { FunctionError, SystemError } from "./errors.mjs";
import { ADMIN } from "./identities.mjs";
import { Modules } from "./modules.mjs";
import { Permits } from "./permits.mjs";
import { patchDatabase } from "./prefixes.mjs";
import { Scheduler } from "./scheduler.mjs";
import { installTap, newTrace, touches, traced } from "./tap.mjs";

const COMMITS_KEPT = 10_000;
const BACKOFF_MAX_MS = 2000;
const RIGHTS = { Query: "RunInternalQueries", Mutation: "RunInternalMutations", Action: "RunInternalActions" };
const RIGHTS_IN_COMPONENTS = { Query: "ViewData", Mutation: "WriteData", Action: "WriteData" }; // public functions

class Rollback extends Error {}

export class Backend {
  paused = false;
  onCommit = () => {};
  #functions;
  #options;
  #modules;
  #test; // the convex-test instance
  #commits = []; // { number, writes } of the newest commits
  #commitNumber = 0;
  #permits;
  #scheduler;
  #stats;

  constructor(functions, options) {
    this.#functions = functions;
    this.#options = options;
    this.#modules = new Modules(functions);
    this.#permits = new Permits(options);
    this.#scheduler = new Scheduler(({ path, args, component }) => this.invoke(null, path, args, ADMIN, component));
    patchDatabase(functions.library.DatabaseFake);
    this.reset();
    installTap(functions.library, {
      requireTarget: (target, args) => this.#modules.requireTarget(target, args),
      committed: (trace) => this.#committed(trace),
      schedule: (job) => this.#scheduler.add(job),
      cancel: (id) => this.#scheduler.cancel(id),
    });
  }

  reset() {
    this.#scheduler.clear();
    const [{ schema, modules }, ...components] = this.#functions.components;
    this.#test = this.#functions.library.convexTest({ schema: schema ?? undefined, modules, transactionLimits: true });
    for (const one of components) this.#test.registerComponent(one.path, one.schema, one.modules);
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

  /** All documents of a table, by its name or as "component/name". */
  async table(path) {
    const at = path.lastIndexOf("/");
    const handler = (ctx) => ctx.db.query(path.slice(at + 1)).collect();
    return await this.#test.runInComponent(path.slice(0, Math.max(0, at)), handler);
  }

  /** Returns { value, trace } or { error, trace }; throws SystemError for what never ran. */
  async invoke(kind, path, jsonArgs, identity, component = "") {
    const trace = newTrace();
    try {
      if (this.paused) throw new FunctionError(PAUSED);
      const target = await this.#resolve(component, path, kind, identity);
      const args = this.#modules.parse(target, jsonArgs);
      count(this.#stats.calls, component, target.path);
      return { value: await this.#run(target, args, identity, trace), trace };
    } catch (error) {
      if (error instanceof SystemError) throw error;
      return { error, trace };
    }
  }

  async #run(target, args, identity, trace) {
    const test = identity.kind === "user" ? this.#test.withIdentity(identity.identity) : this.#test;
    const address = { componentPath: target.component, udfPath: target.path };
    if (target.kind === "Mutation") return await this.#runMutation(test, address, args, trace);
    const run = target.kind === "Query" ? test.queryFromPath : test.actionFromPath;
    return await traced(trace, () => run(address, args));
  }

  async #resolve(component, path, kind, identity) {
    const target = await this.#modules.find(component, path);
    const { found, kind: actual } = target;
    const isPublic = component === "" && !found?.isInternal; // nobody but an admin reaches into a component
    if (actual === null || !(isPublic || identity.kind === "admin")) {
      throw new FunctionError(`Could not find public function for '${path}'.`);
    }
    if (!isPublic) requireRight(identity, (found.isInternal ? RIGHTS : RIGHTS_IN_COMPONENTS)[actual]);
    if (kind && kind !== actual) {
      const [module, name] = target.path.split(":");
      throw new FunctionError(`Trying to execute ${module}.js:${name} as ${kind}, but it is defined as ${actual}.`);
    }
    return target;
  }

  /**
   * convex-test runs one transaction after the other, so nothing ever conflicts in it. With execMs the
   * mutation runs once and is rolled back, which yields its reads; if a commit touches them within the
   * time, it is tried again on Convex's schedule and at last refused.
   */
  async #runMutation(test, address, args, trace) {
    await this.#permits.acquire();
    try {
      for (let attempt = 0; ; attempt++) {
        const conflict = this.#options.execMs > 0 ? await this.#findConflict(test, address, args) : null;
        if (conflict === null) return await traced(trace, () => test.mutationFromPath(address, args));
        count(this.#stats.conflicts, conflict.component, conflict.table);
        if (attempt >= this.#options.occRetries) throw this.#exhausted(conflict);
        const backoff = Math.min(BACKOFF_MAX_MS, this.#options.occBackoffMs * 2 ** attempt);
        await sleep(backoff * (0.5 + Math.random() / 2));
      }
    } finally {
      this.#permits.release();
    }
  }

  async #findConflict(test, address, args) {
    const since = this.#commitNumber;
    const trial = newTrace();
    await traced(trial, () => runAndRollBack(test, address, args));
    await sleep(this.#options.execMs * (0.5 + Math.random()));
    const writes = this.#commits.filter(({ number }) => number > since).flatMap((commit) => commit.writes);
    return writes.find((write) => trial.reads.some((read) => touches(write, read))) ?? null;
  }

  /** At the end of a transaction of its own: a mutation's, and each of those that an action calls. */
  #committed({ writes, scheduled, cancelled }) {
    if (writes.length > 0) {
      this.#commits.push({ number: ++this.#commitNumber, writes: [...writes] });
      if (this.#commits.length > 2 * COMMITS_KEPT) this.#commits.splice(0, COMMITS_KEPT);
      this.onCommit([...writes]);
    }
    scheduled.forEach((job) => this.#scheduler.add(job));
    cancelled.forEach((id) => this.#scheduler.cancel(id));
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

function count(counts, component, name) {
  const key = component ? `${component}/${name}` : name;
  counts[key] = (counts[key] ?? 0) + 1;
}

async function runAndRollBack(test, { componentPath, udfPath }, args) {
  const rollback = new Rollback("rolled back on purpose");
  const handle = `function://${componentPath};${udfPath}`;
  try {
    await test.mutation(async (ctx) => {
      await ctx.runMutation(handle, args).catch(() => {}); // the real run reports what is wrong
      throw rollback;
    });
  } catch (error) {
    if (!String(error?.message).includes(rollback.message)) throw error;
  }
}
