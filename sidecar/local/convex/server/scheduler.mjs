/** Scheduled functions: they start when due, and a mutation is tried again until it commits. */
import { setTimeout as sleep } from "node:timers/promises";
import { SystemError } from "./errors.mjs";
import { untraced } from "./tap.mjs";

const TRIES_MAX = 50;
const BACKOFF_MAX_MS = 2000;
const SOON_MS = 60_000;
const TIMER_MAX_MS = 2 ** 31 - 1; // a timer of more milliseconds fires at once

export class Scheduler {
  #run;
  #waiting = new Map(); // timer -> { id, component, path, args, at }
  #running = new Set();

  constructor(run) {
    this.#run = run;
  }

  add(job) {
    const left = Math.max(0, job.at - Date.now());
    const next = () => (left > TIMER_MAX_MS ? this.#waitAgain(timer) : this.#start(timer));
    const timer = setTimeout(next, Math.min(left, TIMER_MAX_MS));
    this.#waiting.set(timer, job);
  }

  /** Forgets a job that has not begun. */
  cancel(id) {
    const found = [...this.#waiting].find(([, job]) => job.id === id);
    if (found === undefined) return;
    clearTimeout(found[0]);
    this.#waiting.delete(found[0]);
  }

  clear() {
    for (const timer of this.#waiting.keys()) clearTimeout(timer);
    this.#waiting.clear();
  }

  /**
   * Runs all that is due within a minute now, and what that schedules; returns how many. What finds itself too
   * early and waits again does so once, and not until it is due.
   */
  async settle() {
    const early = new Set();
    let count = 0;
    for (let soon = this.#soon(early); soon.length > 0 || this.#running.size > 0; soon = this.#soon(early)) {
      count += soon.length;
      for (const timer of soon) this.#start(timer);
      await Promise.all(this.#running);
    }
    return count;
  }

  #waitAgain(timer) {
    const job = this.#waiting.get(timer);
    if (this.#waiting.delete(timer)) this.add(job);
  }

  #soon(early) {
    const now = Date.now();
    const soon = [...this.#waiting].filter(([, job]) => job.at < now + SOON_MS && !early.has(nameOf(job)));
    for (const [, job] of soon) if (job.at > now) early.add(nameOf(job));
    return soon.map(([timer]) => timer);
  }

  #start(timer) {
    clearTimeout(timer);
    const job = this.#waiting.get(timer);
    if (!this.#waiting.delete(timer)) return;
    const done = untraced(() => this.#runUntilCommitted(job))
      .catch((error) => console.error(`scheduled function ${job.path} failed: ${error.message}`))
      .finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  async #runUntilCommitted(job) {
    for (let tries = 0; ; tries++) {
      try {
        const { error } = await this.#run(job);
        if (error) throw error;
        return;
      } catch (error) {
        if (!(error instanceof SystemError) || tries >= TRIES_MAX) throw error;
        await sleep(Math.min(BACKOFF_MAX_MS, 100 * 2 ** tries));
      }
    }
  }
}

function nameOf({ component, path, args }) {
  return JSON.stringify([component, path, args]);
}
