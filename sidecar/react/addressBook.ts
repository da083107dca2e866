/** Addresses of assets, signed when they are wanted and again at 80 % of their life; no React in here. */
import type { AccessUrl } from "./functions";

/** `urls` has no entry yet for an asset that is being asked for, and null for one that the viewer may not see. */
export type Addresses = { urls: ReadonlyMap<string, string | null>; error: Error | null };

/** What tests replace. */
export type Clock = {
  now: () => number;
  after: (ms: number, run: () => void) => () => void;
};
/** An asset's id stays when it is rendered again; its `version`, whatever tells versions apart, does not. */
export type Wanted = { id: string; version: number | string };
type Entry = { version: Wanted["version"]; url: string | null; askAgainAt: number; endsAt: number; denials: number };

export const BATCH_MAX = 100;
const RENEW_AT = 0.8;
const RETRY_MS = 1000;
const RETRY_MAX_MS = 30_000;
const TIMER_MAX_MS = 2 ** 31 - 1;

const browser: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};

export class AddressBook {
  #entries = new Map<string, Entry>();
  #wanted: ReadonlyMap<string, Wanted["version"]> = new Map();
  #asking = new Set<string>();
  #failures = 0;
  #retryAt = 0;
  #error: Error | null = null;
  #addresses: Addresses = { urls: new Map(), error: null };
  #listeners = new Set<() => void>();
  #cancelTimer: () => void = () => undefined;

  constructor(
    private readonly sign: (ids: string[]) => Promise<(AccessUrl | null)[]>,
    private readonly clock: Clock = browser,
  ) {}

  /** Keep addresses of these versions of assets and forget all others. */
  want(assets: readonly Wanted[]): void {
    this.#wanted = new Map(assets.map(({ id, version }) => [id, version]));
    for (const [id, { version }] of this.#entries) if (this.#wanted.get(id) !== version) this.#entries.delete(id);
    this.look();
  }

  /** Ask again for an address that did not open. */
  renew = (id: string): void => {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.askAgainAt = 0;
    this.look();
  };

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  current = (): Addresses => this.#addresses;

  /** Stop until something is wanted again. */
  close(): void {
    this.#wanted = new Map();
    this.#cancelTimer();
  }

  /** Ask for what is due; also to be called when a page wakes up, whose timers stood still. */
  look = (): void => {
    const now = this.clock.now();
    const due = [...this.#wanted.keys()].filter((id) => !this.#asking.has(id) && (this.#entries.get(id)?.askAgainAt ?? 0) <= now);
    if (this.#retryAt <= now) for (let i = 0; i < due.length; i += BATCH_MAX) void this.#ask(due.slice(i, i + BATCH_MAX));
    this.#tell();
    this.#wait();
  };

  async #ask(ids: string[]): Promise<void> {
    const asked = this.#wanted;
    const askedAt = this.clock.now(); // a life is counted from here by our own clock, whatever the server's says
    for (const id of ids) this.#asking.add(id);
    try {
      const answers = await this.sign(ids);
      ids.forEach((id, i) => {
        const [told, version] = [answers[i] ?? null, this.#wanted.get(id)];
        const isOfNow = version === asked.get(id) || version === told?.version; // else it was replaced meanwhile
        if (version === undefined || !isOfNow) return;
        this.#entries.set(id, { version, ...this.#entry(askedAt, told, this.#entries.get(id)) });
      });
      this.#failures = 0;
      this.#error = null;
    } catch (error) {
      this.#retryAt = this.clock.now() + backoff(this.#failures++);
      this.#error = error instanceof Error ? error : new Error(String(error));
    }
    for (const id of ids) this.#asking.delete(id);
    this.look();
  }

  #entry(askedAt: number, told: AccessUrl | null, before: Entry | undefined): Omit<Entry, "version"> {
    const denials = told === null ? (before?.denials ?? 0) + 1 : 0;
    if (told === null) return { url: null, askAgainAt: askedAt + backoff(denials), endsAt: Infinity, denials };
    const life = told.expiresAt === null ? Infinity : told.expiresAt - told.signedAt;
    return { url: told.url, askAgainAt: askedAt + RENEW_AT * life, endsAt: askedAt + life, denials };
  }

  /** Show what opens now; an address whose life is over is none. */
  #tell(): void {
    const now = this.clock.now();
    const shown = new Map<string, string | null>();
    for (const id of this.#wanted.keys()) {
      const entry = this.#entries.get(id);
      if (entry !== undefined && entry.endsAt > now) shown.set(id, entry.url);
    }
    const { urls, error } = this.#addresses;
    const isSame = urls.size === shown.size && [...shown].every(([id, url]) => urls.get(id) === url);
    if (isSame && error === this.#error) return;
    this.#addresses = { urls: isSame ? urls : shown, error: this.#error };
    for (const listener of this.#listeners) listener();
  }

  #wait(): void {
    this.#cancelTimer();
    const idle = [...this.#wanted.keys()].filter((id) => !this.#asking.has(id));
    const next = Math.min(...idle.map((id) => Math.max(this.#retryAt, this.#entries.get(id)?.askAgainAt ?? 0)));
    if (!Number.isFinite(next)) return;
    const ms = Math.min(TIMER_MAX_MS, Math.max(0, next - this.clock.now()));
    this.#cancelTimer = this.clock.after(ms, this.look);
  }
}

function backoff(failures: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** failures);
}
