/**
 * Pages of an index. Convex refuses its own `paginate` in a component, so a cursor is the last row's key here: the
 * values of the index's fields after those that every row of the range shares. Keys must be unique.
 */
import { ConvexError, v, type ObjectType } from "convex/values";

/** What front ends ask for; `endCursor` makes a page end where it ended before, whatever came into it. */
export const pageArgs = {
  cursor: v.union(v.string(), v.null()),
  numItems: v.number(),
  endCursor: v.optional(v.union(v.string(), v.null())),
};
export type PageArgs = ObjectType<typeof pageArgs>;

const ROWS_MAX = 500;
const END = "";

type Value = string | number | null | undefined;
type Bound = { field: string; op: "eq" | "gt" | "lt"; value: Value };
type Row<Db> = { order(order: "asc" | "desc"): { [Symbol.asyncIterator](): AsyncIterator<Db> } };
type Bounded = { eq(field: string, value: Value): Bounded; gt(field: string, value: Value): Bounded; lt(field: string, value: Value): Bounded };

/** Adds bounds to the range of an index whose builder knows its fields' names at run time only. */
export type Narrow = <Range>(range: Range) => Range;

type Source<Document> = {
  /** Reads the range with these further bounds. */
  read: (narrow: Narrow) => Row<Document>;
  /** The fields of the index after the shared ones. */
  key: (keyof Document & string)[];
  order?: "asc" | "desc";
  /** Where a key says what a reader may not know: another name of a row, by which it is found again. */
  name?: { of: (row: Document) => Promise<string>; find: (name: string) => Promise<Document | null> };
};

export type Page<Document> = { page: Document[]; isDone: boolean; continueCursor: string };

/** The next page. A cursor that is not ours is an InvalidCursor, after which React's hooks begin anew. */
export async function pageOf<Document extends object>(
  source: Source<Document>,
  { cursor, numItems, endCursor }: PageArgs,
): Promise<Page<Document>> {
  const { read, key, order = "asc" } = source;
  const most = endCursor ? ROWS_MAX : Math.min(ROWS_MAX, Math.max(1, Math.floor(numItems)));
  const end = endCursor ? await placeOf(source, endCursor) : null;
  const page: Document[] = [];
  for (const bounds of rangesAfter(cursor ? await placeOf(source, cursor) : null, key, order)) {
    for await (const row of read(narrowing(bounds)).order(order)) {
      const isBeyond = end !== null && isAfter(valuesOf(row, key), end, order);
      if (isBeyond) return { page, isDone: false, continueCursor: endCursor ?? END };
      if (page.length === most) return { page, isDone: false, continueCursor: await cursorOf(source, page, cursor) };
      page.push(row);
    }
  }
  return { page, isDone: true, continueCursor: await cursorOf(source, page, cursor) };
}

/** Everything after a key, as ranges of the index in their order: those that share most with it first. */
function rangesAfter(after: Value[] | null, key: string[], order: "asc" | "desc"): Bound[][] {
  if (after === null) return [[]];
  const op = order === "asc" ? "gt" : "lt";
  return key
    .map((field, i): Bound[] => [
      ...key.slice(0, i).map((shared, j): Bound => ({ field: shared, op: "eq", value: after[j] })),
      { field, op, value: after[i] },
    ])
    .reverse();
}

function narrowing(bounds: Bound[]): Narrow {
  return (range) =>
    bounds.reduce((at, { field, op, value }) => at[op](field, value), range as unknown as Bounded) as unknown as typeof range;
}

const valuesOf = <Document extends object>(row: Document, key: (keyof Document & string)[]) =>
  key.map((field) => row[field] as Value);

async function cursorOf<Document extends object>(
  { key, name }: Source<Document>,
  page: Document[],
  before: string | null,
): Promise<string> {
  const last = page.at(-1);
  if (last === undefined) return before ?? END;
  return name ? await name.of(last) : JSON.stringify(valuesOf(last, key).map((value) => value ?? null));
}

async function placeOf<Document extends object>({ key, name }: Source<Document>, cursor: string): Promise<Value[]> {
  if (!name) return parsed(cursor, key);
  const row = await name.find(cursor);
  return row === null ? invalid() : valuesOf(row, key);
}

/** No key holds null: it stands for a field that is missing. */
function parsed(cursor: string, key: string[]): Value[] {
  try {
    const values: unknown = JSON.parse(cursor);
    if (Array.isArray(values) && values.length === key.length && values.every(isValue)) {
      return values.map((value) => value ?? undefined);
    }
  } catch {
    // not ours, as one that parses to something else
  }
  return invalid();
}

function invalid(): never {
  const message = "this cursor is not one of this list, or what it names has gone";
  throw new ConvexError({ code: "INVALID", message, isConvexSystemError: true, paginationError: "InvalidCursor" });
}

const isValue = (value: unknown): value is string | number | null =>
  value === null || typeof value === "string" || typeof value === "number";

/** Convex's order: a missing field, numbers, texts by their UTF-8. */
function isAfter(values: Value[], end: Value[], order: "asc" | "desc"): boolean {
  const at = values.findIndex((value, i) => value !== end[i]);
  if (at === -1) return false;
  return order === "asc" ? isLess(end[at], values[at]) : isLess(values[at], end[at]);
}

function isLess(one: Value, other: Value): boolean {
  if (typeof one === "number" && typeof other === "number") return one < other;
  if (typeof one === "string" && typeof other === "string") return isLessText(one, other);
  const rank = (value: Value) => ["undefined", "number", "string"].indexOf(typeof value);
  return rank(one) < rank(other);
}

/** By code points, as UTF-8 sorts; JavaScript compares units of UTF-16. */
function isLessText(one: string, other: string): boolean {
  const [a, b] = [Array.from(one), Array.from(other)];
  const at = a.findIndex((char, i) => char !== b[i]);
  if (at === -1) return a.length < b.length;
  const [x, y] = [a[at]?.codePointAt(0) ?? -1, b[at]?.codePointAt(0) ?? -1];
  return x < y;
}
