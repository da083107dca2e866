/** What the hooks and the player render of what queries answer; rendered as a server would, without a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { getFunctionName, type FunctionReference } from "convex/server";
import { createElement, type FunctionComponent } from "react";
import { renderToStaticMarkup } from "react-dom/server.browser"; // it bundles as a module
import { ScenePlayer } from "../react";

type Query = (args: never) => unknown;

/** Answers queries by their names at once; one that throws is one that was refused. */
function clientOf(queries: Record<string, Query>) {
  const watchQuery = (query: FunctionReference<"query">, args: unknown) => ({
    localQueryResult: () => queries[getFunctionName(query)]!(args as never),
    onUpdate: () => () => undefined,
    journal: () => undefined,
  });
  return { watchQuery, action: () => async () => Promise.resolve([]) } as unknown as ConvexReactClient;
}

function rendered<Props extends object>(
  queries: Record<string, Query>,
  what: FunctionComponent<Props>,
  props: Props,
): string {
  return renderToStaticMarkup(
    createElement(ConvexProvider, { client: clientOf(queries), children: createElement(what, props) }),
  );
}

const LESSON = { sessionId: "s", sceneId: "intro" };
const scene = () => ({ ...LESSON, assetsStatus: "uploading" });
const noChunks = () => ({ chunks: [], contiguous: 0, expected: null, isComplete: false });
const refuse = () => {
  throw new Error("TOO_MANY");
};

test("a query that is refused is that player's state, and the page stays", () => {
  const states = [
    { "sidecar/scenes:get": scene, "sidecar/assets:chunks": noChunks },
    { "sidecar/scenes:get": scene, "sidecar/assets:chunks": refuse },
    { "sidecar/scenes:get": refuse, "sidecar/assets:chunks": noChunks },
  ].map((queries) => /data-state="(\w+)"/.exec(rendered(queries, ScenePlayer, LESSON))?.[1]);
  assert.deepEqual(states, ["uploading", "error", "error"]);
});
