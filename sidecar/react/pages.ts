/**
 * Pages of a list that changes while it is read; no React in here. A page that has a successor is asked for up to where
 * that one begins, so what is inserted or deleted in it moves nothing across. Convex's own hook leaves it at a number of
 * rows, which a query that pages by itself cannot make up for.
 */
import type { PaginationOptions, PaginationResult } from "convex/server";

/** `before`: what the page showed until it was given its end. */
export type Page<Item> = { options: PaginationOptions & { endCursor?: string }; before?: readonly Item[] };
export type Answers<Item> = Readonly<Record<string, PaginationResult<Item> | undefined>>;

export function firstPage<Item>(numItems: number): Page<Item>[] {
  return [{ options: { cursor: null, numItems } }];
}

export function nameOf<Item>({ options }: Page<Item>): string {
  return JSON.stringify([options.cursor, options.endCursor, options.numItems]);
}

/** What may be shown, in order; `last` is the last page's answer, once all of them are there. */
export function shown<Item>(
  pages: readonly Page<Item>[],
  answers: Answers<Item>,
): { results: Item[]; last: PaginationResult<Item> | undefined } {
  const results: Item[] = [];
  let last: PaginationResult<Item> | undefined;
  for (const page of pages) {
    last = answers[nameOf(page)];
    results.push(...(last?.page ?? page.before ?? []));
    if (last === undefined) break;
  }
  return { results, last };
}

/** One page more: the last one ends from now on where it ends now. */
export function extended<Item>(pages: readonly Page<Item>[], answers: Answers<Item>, numItems: number): Page<Item>[] {
  const end = pages.at(-1);
  const answer = end && answers[nameOf(end)];
  if (end === undefined || answer === undefined || answer.isDone) return [...pages];
  const cursor = answer.continueCursor;
  const closed = { options: { ...end.options, endCursor: cursor }, before: answer.page };
  return [...pages.slice(0, -1), closed, { options: { cursor, numItems } }];
}

/** A page that grew beyond what one answer holds ends before its end: the rest is a page of its own. */
export function split<Item>(pages: readonly Page<Item>[], answers: Answers<Item>): Page<Item>[] | null {
  for (const [i, page] of pages.entries()) {
    const { endCursor, numItems } = page.options;
    const answer = answers[nameOf(page)];
    if (endCursor === undefined || !answer || answer.isDone || answer.continueCursor === endCursor) continue;
    const middle = answer.continueCursor;
    const parts = [
      { options: { ...page.options, endCursor: middle }, before: answer.page },
      { options: { cursor: middle, endCursor, numItems } },
    ];
    return [...pages.slice(0, i), ...parts, ...pages.slice(i + 1)];
  }
  return null;
}

/** Did what a cursor named go away? Then the list begins anew. */
export function isInvalidCursor(error: Error): boolean {
  const { data } = error as Error & { data?: { paginationError?: unknown } };
  return data?.paginationError === "InvalidCursor" || error.message.includes("InvalidCursor");
}
