/// <reference types="vite/client" />
/** The application with its component, in memory, and what a sidecar says to it. */
import { convexTest, type TestConvex } from "convex-test";
import { ConvexError } from "convex/values";
import { onTestFinished, vi } from "vitest";
import { api } from "./_generated/api";
import { own } from "./own";
import type { FactsOp, Op, OnUnknownEntity, OpResult, PutOp, RemoveOp } from "./renderSidecar/lib/shapes";
import componentSchema from "./renderSidecar/schema";
import schema from "./schema";

export const modules = import.meta.glob(["./**/!(*.*.*)*.*s", "!./renderSidecar/**"]);
const componentModules = import.meta.glob("./renderSidecar/**/!(*.*.*)*.*s");
export type Test = TestConvex<typeof schema>;

export const ALPHA = "https://alpha.test";
export const SESSION = "alpha/course";
export const INTRO = { sessionId: SESSION, sceneId: "intro" };
export const FIRST_PAGE = { numItems: 100, cursor: null };
export const MINUTE = 60_000;
export const START = Date.UTC(2026, 0, 1);

/** An empty deployment. Time stands still but for `pass` and `passMonth`. */
export function deploy(): Test {
  vi.useFakeTimers({ now: START });
  vi.spyOn(console, "warn").mockReturnValue(); // a refusal tells the operator why
  onTestFinished(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const t = convexTest({ schema, modules, transactionLimits: true });
  t.registerComponent("renderSidecar", componentSchema, componentModules);
  return t;
}

/** As `deploy`, with a session of Ada's that has a scene. */
export async function deployWithIntro(): Promise<Test> {
  const t = deploy();
  await t.mutation(own.lessons.create, { ...INTRO, projectId: "alpha", ownerId: "ada" });
  return t;
}

export const viewer = (t: Test, subject = "ada") => t.withIdentity({ issuer: "https://users.test", subject });
export const backend = (t: Test) => t.withIdentity({ issuer: "https://backend.test", subject: "backend" });

/** Lets jobs that are due run, and those that they schedule at once. */
export async function pass(t: Test, ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await t.finishAllScheduledFunctions(() => vi.advanceTimersByTime(0));
}

/** As `pass` for a month and a day, in one leap: no timer, real or fake, waits for more than 24 days. */
export async function passMonth(t: Test): Promise<void> {
  vi.setSystemTime(Date.now() + 31 * 24 * 60 * MINUTE);
  await pass(t, 1);
}

/** The code with which a call was refused; null for one that was not. */
export async function refusal(call: Promise<unknown>): Promise<string | null> {
  try {
    await call;
    return null;
  } catch (error) {
    if (error instanceof ConvexError) return (error as ConvexError<{ code: string }>).data.code;
    throw error;
  }
}

type Who = { issuer?: string; sidecarId?: string; projectId?: string; sessionId?: string };

/** A sidecar that has registered its first journal. */
export class Sidecar {
  epoch = 0;
  private constructor(
    private readonly t: Test,
    private readonly who: Required<Who>,
  ) {}

  static async start(t: Test, who: Who = {}): Promise<Sidecar> {
    const alpha = { issuer: ALPHA, sidecarId: "renderer-1", projectId: "alpha", sessionId: SESSION };
    const sidecar = new Sidecar(t, { ...alpha, ...who });
    sidecar.epoch = (await sidecar.register("journal-1")).epoch;
    return sidecar;
  }

  get as() {
    return this.t.withIdentity({ issuer: this.who.issuer, subject: this.who.sidecarId });
  }

  async register(journalId: string) {
    return await this.as.mutation(api.sidecar.register, { sidecarId: this.who.sidecarId, journalId, contractVersion: 3 });
  }

  async heartbeat(): Promise<void> {
    await this.as.mutation(api.sidecar.heartbeat, { sidecarId: this.who.sidecarId, epoch: this.epoch });
  }

  async apply(ops: Op[], more: { onUnknownEntity?: OnUnknownEntity } = {}): Promise<OpResult[]> {
    const { sidecarId, projectId, sessionId } = this.who;
    const batch = { sidecarId, projectId, sessionId, epoch: this.epoch, ackedSeq: 0, ops, ...more };
    return await this.as.mutation(api.sidecar.applyAssets, batch);
  }

  /** What became of each op, with its reason where there is one. */
  async outcomes(ops: Op[], more: { onUnknownEntity?: OnUnknownEntity } = {}): Promise<string[]> {
    return (await this.apply(ops, more)).map(({ outcome, code }) => code ?? outcome);
  }
}

let ops = 0;
const head = () => ({ opId: `op-${++ops}`, seq: ops });

type Content = { content?: string; size?: number; s3Key?: string };

/** Puts a video of scene intro; `content` stands for its bytes. */
export function put(name = "a.mp4", { content = "A", size = 1000, s3Key, ...over }: Partial<PutOp> & Content = {}): PutOp {
  const { opId, seq } = head();
  const key = s3Key ?? `alpha/${seq}/${name}`;
  const asset = {
    ...{ s3Key: key, s3Url: `https://media.s3.amazonaws.com/${key}`, bucket: "media", contentType: "video/mp4", size },
    ...{ checksum: `crc64nvme:${content}`, etag: `"${seq}"`, uploadedAt: START },
  };
  const slot = { entityType: "scene", entityId: "intro", assetType: "video_chunk", name };
  return { opId, seq, kind: "put", ...slot, index: null, role: null, transfer: `T${seq}`, metadata: {}, asset, ...over };
}

export function facts(over: Partial<FactsOp> = {}): FactsOp {
  return { ...head(), kind: "facts", sceneId: "intro", complete: true, owed: 0, error: null, reason: null, ...over };
}

export function remove(name = "a.mp4", over: Partial<RemoveOp> = {}): RemoveOp {
  return { ...head(), kind: "remove", entityType: "scene", entityId: "intro", assetType: "video_chunk", name, ...over };
}
