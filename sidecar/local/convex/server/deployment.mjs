/** What is deployed: functions over documents, which outlive them. */
import { Modules } from "./modules.mjs";
import { moveDocuments, patchDatabase } from "./prefixes.mjs";

export class Deployment {
  modules;
  test; // the convex-test instance
  #functions;
  #library;
  #databases = new Map(); // by component, also of one that is not used any more: its documents stay
  #running = 0;
  #replacing = null;
  #idle = () => {};

  constructor(functions, library) {
    this.#functions = functions;
    this.#library = library;
    this.modules = new Modules(functions.components, library);
    patchDatabase(library.DatabaseFake);
  }

  reset() {
    this.#databases.clear();
    this.test = this.#make(this.#functions);
  }

  /** Runs a call, which sees one and the same functions from its beginning to its end. */
  async during(call) {
    while (this.#replacing) await this.#replacing;
    this.#running++;
    try {
      return await call();
    } finally {
      if (--this.#running === 0) this.#idle();
    }
  }

  /** Waits for the calls that run. Throws, with all as it was, what Convex would refuse to deploy. */
  async replace(functions) {
    let done;
    this.#replacing = new Promise((resolve) => (done = resolve));
    try {
      if (this.#running > 0) await new Promise((idle) => (this.#idle = idle));
      await this.#keepDatabases();
      const test = this.#make(functions);
      for (const { path } of functions.components) {
        const before = this.#databases.get(path);
        if (before) moveDocuments(before, await this.#databaseOf(test, path));
      }
      Object.assign(this, { test, modules: new Modules(functions.components, this.#library) });
      this.#functions = functions;
    } finally {
      this.#replacing = null;
      done();
    }
  }

  #make({ components: [{ schema, modules }, ...components] }) {
    const test = this.#library.convexTest({ schema: schema ?? undefined, modules, transactionLimits: true });
    for (const one of components) test.registerComponent(one.path, one.schema, one.modules);
    return test;
  }

  async #keepDatabases() {
    for (const { path } of this.#functions.components) {
      this.#databases.set(path, await this.#databaseOf(this.test, path));
    }
  }

  async #databaseOf(test, path) {
    let database;
    await test.runInComponent(path, () => void (database = this.#library.getDb()));
    return database;
  }
}
