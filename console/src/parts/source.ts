import type { InfiniteData, UseInfiniteQueryResult, UseQueryResult } from "@tanstack/react-query";
import type { Page } from "../contract";
import type { Source } from "./table";

/** An endless list as a table reads it. */
export function pagesSource<R>(query: UseInfiniteQueryResult<InfiniteData<Page<R>>>): Source<R> {
  return {
    rows: query.data?.pages.flatMap((page) => page.items),
    total: query.data?.pages[0]?.total,
    error: query.error,
    retry: () => void query.refetch(),
    stale: query.isPlaceholderData,
    more: query.hasNextPage
      ? { load: () => void query.fetchNextPage(), loading: query.isFetchingNextPage }
      : undefined,
  };
}

/** A list that comes whole. */
export function listSource<R>(query: UseQueryResult<Page<R>>): Source<R> {
  return {
    rows: query.data?.items,
    total: query.data?.total,
    error: query.error,
    retry: () => void query.refetch(),
  };
}
