/** What the hooks and the player render of what queries answer; rendered as a server would, without a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { getFunctionName, type FunctionReference } from "convex/server";
import { createElement, useState, type FunctionComponent } from "react";
import { renderToStaticMarkup } from "react-dom/server.browser"; // it bundles as a module
import { pageOf, type PageArgs } from "../convex/renderSidecar/lib/pages";
import { ScenePlayer, useSessionScenes } from "../react";

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

type Row = { name: string };
type Bounds = { gt(field: string, value: string): Bounds };

/** Pages by the functions' own code, over an array in place of an index. */
async function page(names: string[], args: PageArgs) {
  const read = (narrow: (range: Bounds) => Bounds) => {
    let after = "";
    const range: Bounds = { gt: (_, value) => ((after = value), range) };
    narrow(range);
    const rows = names.filter((name) => name > after).sort().map((name) => ({ name }));
    return { order: () => ({ [Symbol.asyncIterator]: () => asynchronous(rows) }) };
  };
  return await pageOf<Row>({ read, key: ["name"] } as never, args);
}

async function* asynchronous<T>(rows: T[]): AsyncGenerator<T> {
  await Promise.resolve();
  yield* rows;
}

/** Loads three pages of two, and the list changes when two are there; rendered until all that it asks for is answered. */
async function listed(change: (names: string[]) => void): Promise<string> {
  const before = ["b", "d", "f", "h", "j"];
  const after = [...before];
  change(after);
  const known = new Map<string, unknown>();
  const asked = new Map<string, () => Promise<unknown>>();
  let isChanged = false;
  const scenes = ({ paginationOpts }: { paginationOpts: PageArgs }) => {
    const { cursor, numItems, endCursor } = paginationOpts; // Convex's hook numbers what it asks
    const [key, names] = [JSON.stringify([isChanged, cursor, numItems, endCursor]), isChanged ? after : before];
    asked.set(key, () => page(names, paginationOpts));
    return known.get(key);
  };
  function List() {
    const { results, status, loadMore } = useSessionScenes({ sessionId: "s" }, { initialNumItems: 2 });
    const [loaded, setLoaded] = useState(1);
    if (status === "CanLoadMore" && loaded < 3) {
      isChanged = loaded === 2;
      setLoaded(loaded + 1);
      loadMore(2);
    }
    return createElement("p", null, (results as unknown as Row[]).map(({ name }) => name).join(""));
  }
  for (;;) {
    isChanged = false;
    const told = rendered({ "sidecar/scenes:bySession": scenes }, List, {});
    const open = [...asked].filter(([key]) => !known.has(key));
    if (open.length === 0) return told;
    for (const [key, answer] of open) known.set(key, await answer());
  }
}

test("what is inserted into a loaded page, or deleted from it, moves no row out of a list or into it twice", async () => {
  assert.equal(await listed((names) => names.push("a", "c")), "<p>abcdfhj</p>");
  assert.equal(await listed((names) => names.splice(0, 1)), "<p>dfhj</p>");
});
