import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./http";

/** Data stays fresh for 30 s; live events refresh it sooner. Refusals are not tried again. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        refetchOnWindowFocus: true,
        retry: (count, error) =>
          error instanceof ApiError && (error.status === 0 || error.status >= 500) && count < 2,
      },
    },
  });
}
