/** Convex's usePaginatedQuery for the sidecar's lists, which it would let lose rows and show some twice. */
import {
  useQueries,
  type PaginatedQueryArgs,
  type PaginatedQueryItem,
  type PaginatedQueryReference,
  type RequestForQueries,
  type UsePaginatedQueryReturnType,
} from "convex/react";
import { getFunctionName, type PaginationResult } from "convex/server";
import { useMemo, useState } from "react";
import { extended, firstPage, isInvalidCursor, nameOf, shown, split, type Page } from "./pages";

/** As usePaginatedQuery; what changes in a page that was loaded moves no row out of the list. Throws what is refused. */
export function usePages<Query extends PaginatedQueryReference>(
  query: Query,
  args: PaginatedQueryArgs<Query> | "skip",
  { initialNumItems }: { initialNumItems: number },
): UsePaginatedQueryReturnType<Query> {
  type Item = PaginatedQueryItem<Query>;
  const key = JSON.stringify([getFunctionName(query), args]);
  const [state, setState] = useState<{ key: string; pages: Page<Item>[] }>({ key, pages: firstPage(initialNumItems) });
  const pages = useMemo(
    () => (state.key === key ? state.pages : firstPage<Item>(initialNumItems)),
    [state, key, initialNumItems],
  );
  const queries = useMemo(() => (args === "skip" ? {} : requests(query, args, pages)), [pages, key]);
  const told = useQueries(queries) as Record<string, PaginationResult<Item> | Error | undefined>;
  const failure = Object.values(told).find((one) => one instanceof Error);
  if (failure !== undefined && (pages.length === 1 || !isInvalidCursor(failure))) throw failure;
  const answers = failure === undefined ? (told as Record<string, PaginationResult<Item> | undefined>) : {};
  const anew = failure === undefined ? split(pages, answers) : firstPage<Item>(initialNumItems);
  if (anew !== null) setState({ key, pages: anew });
  return useMemo(() => {
    const { results, last } = shown(pages, answers);
    const loadMore = (numItems: number) => {
      if (last?.isDone === false) setState({ key, pages: extended(pages, answers, numItems) });
    };
    const isLoading = last === undefined;
    const loading = pages.length === 1 ? "LoadingFirstPage" : "LoadingMore";
    const status = isLoading ? loading : last.isDone ? "Exhausted" : "CanLoadMore";
    return { results, status, isLoading, loadMore } as UsePaginatedQueryReturnType<Query>;
  }, [pages, told]);
}

function requests<Item>(query: PaginatedQueryReference, args: object, pages: readonly Page<Item>[]): RequestForQueries {
  return Object.fromEntries(
    pages.map((page) => [nameOf(page), { query, args: { ...args, paginationOpts: page.options } }]),
  ) as unknown as RequestForQueries;
}
