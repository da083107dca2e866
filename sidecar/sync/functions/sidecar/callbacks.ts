/** Your functions that follow the sidecar's documents, as the component calls them. */
import { createFunctionHandle, type FunctionReference } from "convex/server";
import type { ObjectType } from "convex/values";
import { defined } from "../renderSidecar/lib/optional";
import type { sceneChangeFields, sessionChangeFields } from "../renderSidecar/lib/shapes";
import { rules } from "./rules";

export type SceneCallback = FunctionReference<"mutation", "internal", ObjectType<typeof sceneChangeFields>>;
export type SessionCallback = FunctionReference<"mutation", "internal", ObjectType<typeof sessionChangeFields>>;

/** Handles, for the component to keep. */
export async function callbacks(): Promise<{ onSceneChange?: string; onSessionChange?: string }> {
  const { onSceneChange, onSessionChange } = rules;
  return defined({
    onSceneChange: onSceneChange && (await createFunctionHandle(onSceneChange)),
    onSessionChange: onSessionChange && (await createFunctionHandle(onSessionChange)),
  });
}
