/** Convex runs only so many mutations at once; the rest queue for a while and are then refused. */
import { SystemError } from "./errors.mjs";

export class Permits {
  #options;
  #taken = 0;
  #queue = [];
  refused = 0;

  constructor(options) {
    this.#options = options;
  }

  async acquire() {
    if (this.#taken < this.#options.mutationPermits) {
      this.#taken++;
      return;
    }
    await new Promise((resolve, reject) => {
      const waiter = { resolve };
      const timer = setTimeout(() => {
        this.#queue.splice(this.#queue.indexOf(waiter), 1);
        this.refused++;
        reject(this.#tooMany());
      }, this.#options.permitTimeoutMs);
      waiter.resolve = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#queue.push(waiter);
    });
  }

  release() {
    const next = this.#queue.shift();
    if (next) next.resolve();
    else this.#taken--;
  }

  #tooMany() {
    return new SystemError(
      429,
      "TooManyConcurrentRequests",
      `Too many concurrent requests. Your backend is limited to ${this.#options.mutationPermits} concurrent mutations.`,
    );
  }
}
