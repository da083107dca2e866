/** Finds and runs functions: queries on the newest snapshot, mutations one after the other, with conflicts. */
import { setTimeout as sleep } from "node:timers/promises";
import { Deployment } from "./deployment.mjs";
import { FunctionError, SystemError } from "./errors.mjs";
import { ADMIN } from "./identities.mjs";
import { JOBS, setState, take } from "./jobs.mjs";
import { Permits } from "./permits.mjs";
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
  onDeploy = () => {};
  #deployment;
  #library;
  #options;
  #commits = []; // { number, writes } of the newest commits
  #commitNumber = 0;
  #permits;
  #scheduler;
  #stats;

  constructor(functions, { library, options }) {
    this.#deployment = new Deployment(functions, library);
    this.#library = library;
    this.#options = options;
    this.#permits = new Permits(options);
    this.#scheduler = new Scheduler((job) => this.#runJob(job));
    this.reset();
    installTap(library, {
      requireTarget: (target, args) => this.#deployment.modules.requireTarget(target, args),
      committed: (trace) => this.#committed(trace),
      transaction: (component, run) => this.#deployment.test.runInComponent(component, run),
    });
  }

  reset() {
    this.#scheduler.clear();
    this.#deployment.reset();
    this.#commits = [];
    this.#stats = { calls: {}, read: {}, written: {}, conflicts: {}, exhausted: 0 }; // by function, by table
    this.paused = false;
  }

  /** Other functions over the same documents, between two calls; throws what Convex would refuse. */
  async deploy(functions) {
    await this.#deployment.replace(functions);
    this.onDeploy();
  }

  get convexToJson() {
    return this.#library.convexToJson;
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
    const name = path.slice(at + 1);
    const handler = ({ db }) => (name.startsWith("_") ? db.system : db).query(name).collect();
    return await this.#deployment.test.runInComponent(path.slice(0, Math.max(0, at)), handler);
  }

  /** Returns { value, trace } or { error, trace }; throws SystemError for what never ran. */
  async invoke(kind, path, jsonArgs, identity, component = "", job = undefined) {
    const trace = newTrace();
    try {
      return await this.#deployment.during(async () => {
        if (this.paused) throw new FunctionError(PAUSED);
        const target = await this.#resolve(component, path, kind, identity);
        const args = this.#deployment.modules.parse(target, jsonArgs);
        count(this.#stats.calls, component, target.path);
        const value = await this.#run(target, args, identity, trace, job);
        count(this.#stats.read, component, target.path, trace.found);
        count(this.#stats.written, component, target.path, trace.committed);
        return { value, trace };
      });
    } catch (error) {
      if (error instanceof SystemError) throw error;
      return { error, trace };
    }
  }

  async #run({ component: componentPath, path: udfPath, kind }, args, identity, trace, job) {
    const { test } = this.#deployment;
    const caller = identity.kind === "user" ? test.withIdentity(identity.identity) : test;
    const address = { componentPath, udfPath };
    if (kind === "Mutation") {
      const commit = job ? () => this.#runWithRow(job, args) : () => caller.mutationFromPath(address, args);
      return await this.#runMutation({ test: caller, address, args, trace, commit });
    }
    const run = kind === "Query" ? caller.queryFromPath : caller.actionFromPath;
    if (job && !(await this.#inJob(job, (db) => take(db, job.id, "inProgress")))) return null;
    return await traced(trace, () => run(address, args));
  }

  async #runJob(job) {
    const done = await this.invoke(null, job.path, job.args, ADMIN, job.component, job);
    await this.#inJob(job, (db) => {
      const { kind } = db.get(JOBS, job.id)?.state ?? {};
      if (kind === "pending" || kind === "inProgress") setState(db, job.id, done.error ? "failed" : "success");
    });
    return done;
  }

  /** A mutation, and that it has run: either both commit or none. */
  async #runWithRow(job, args) {
    return await this.#deployment.test.runInComponent(job.scheduledIn, async (ctx) => {
      const mayRun = take(this.#library.getDb(), job.id, "success");
      return mayRun ? await ctx.runMutation(handleOf(job.component, job.path), args) : null;
    });
  }

  async #inJob({ scheduledIn }, run) {
    return await this.#deployment.test.runInComponent(scheduledIn, async () => run(this.#library.getDb()));
  }

  async #resolve(component, path, kind, identity) {
    const target = await this.#deployment.modules.find(component, path);
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
  async #runMutation({ test, address, args, trace, commit }) {
    await this.#permits.acquire();
    try {
      for (let attempt = 0; ; attempt++) {
        const conflict = this.#options.execMs > 0 ? await this.#findConflict(test, address, args) : null;
        if (conflict === null) return await traced(trace, commit);
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
  #committed(trace) {
    const { writes, scheduled, cancelled } = trace;
    trace.committed += writes.length;
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

function count(counts, component, name, number = 1) {
  const key = component ? `${component}/${name}` : name;
  counts[key] = (counts[key] ?? 0) + number;
}

const handleOf = (component, path) => `function://${component};${path}`;

async function runAndRollBack(test, { componentPath, udfPath }, args) {
  const rollback = new Rollback("rolled back on purpose");
  try {
    await test.mutation(async (ctx) => {
      await ctx.runMutation(handleOf(componentPath, udfPath), args).catch(() => {}); // the real run reports what is wrong
      throw rollback;
    });
  } catch (error) {
    if (!String(error?.message).includes(rollback.message)) throw error;
  }
}
