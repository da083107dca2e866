import { bundle } from "./bundle.mjs";
import { SystemError } from "./errors.mjs";

const ACTIONS = ["error", "error_after", "drop_before", "drop_after", "delay", "hang"];

/**
 * What tests ask of the server, below /__local/:
 *
 *     POST reset            empty tables, no faults
 *     POST faults           [{action, path?, times?, status?, code?, message?, body?, type?, ms?}]
 *                           action: error | error_after | drop_before | drop_after | delay | hang
 *     POST paused           {paused}
 *     POST options          any of the command line's, e.g. {execMs, mutationPermits}
 *     POST deploy           {dir}: other functions over the same documents, as `npx convex deploy` does
 *     POST settle           run every scheduled function that is due within a minute now
 *     GET  stats, faults, table/NAME, table/COMPONENT/NAME
 */
export class Control {
  #backend;
  #identities;
  #options;
  #wire;
  #faults = [];
  #faulted = 0;

  constructor({ backend, identities, options, wire }) {
    this.#backend = backend;
    this.#identities = identities;
    this.#options = options;
    this.#wire = wire;
  }

  /** The fault that the next call of this function meets, if any. */
  takeFault(path) {
    const fault = this.#faults.find((one) => one.times > 0 && (!one.path || one.path === path));
    if (!fault) return undefined;
    fault.times--;
    this.#faulted++;
    return fault;
  }

  async handle(what, exchange) {
    const isPost = exchange.request.method === "POST";
    const body = isPost ? JSON.parse((await exchange.text()) || "{}") : null;
    const answer = what.startsWith("table/")
      ? this.#wire.encode(await this.#backend.table(what.slice("table/".length)), "json")
      : JSON.stringify(isPost ? await this.#post(what, body) : this.#get(what));
    if (answer === undefined) exchange.send(404, "");
    else exchange.send(200, answer);
  }

  #get(what) {
    if (what === "stats") return { ...this.#backend.stats, faulted: this.#faulted };
    if (what === "faults") return this.#faults;
    return undefined;
  }

  async #deploy(dir) {
    try {
      const functions = await bundle({ ...this.#options, dir });
      await this.#backend.deploy(functions);
      this.#identities.trust(functions.authProviders);
      return {};
    } catch (error) {
      throw new SystemError(400, "DeployFailed", error.message);
    }
  }

  async #post(what, body) {
    switch (what) {
      case "reset":
        this.#backend.reset();
        this.#faults = [];
        return {};
      case "faults":
        this.#faults = [body].flat().map((fault) => checked({ times: 1, ...fault }));
        return this.#faults;
      case "paused":
        this.#backend.paused = body.paused;
        return {};
      case "options":
        Object.assign(this.#options, body);
        return {};
      case "deploy":
        return await this.#deploy(body.dir);
      case "settle":
        return { ran: await this.#backend.settle() };
    }
  }
}

/** A fault that could not be served would end the server with the call that meets it. */
function checked(fault) {
  const { action, status, body, type, ms } = fault;
  const refuse = (what) => {
    throw new SystemError(400, "BadFault", `${what}: ${JSON.stringify(fault)}`);
  };
  if (!ACTIONS.includes(action)) refuse(`action is one of ${ACTIONS.join(", ")}`);
  if (action.startsWith("error") && !(Number.isInteger(status) && status >= 200 && status < 600)) {
    refuse("status is a number of HTTP's");
  }
  if (![body, type].every((text) => text === undefined || typeof text === "string")) {
    refuse("body and type are strings");
  }
  if (action === "delay" && !(ms >= 0)) refuse("ms is a number");
  return fault;
}
