import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { read } from "./api";
import { ApiError } from "./http";
import { Broken, NotFound } from "./parts/broken";
import { parseSearch, signInSearch, stringifySearch } from "./search";

const root = createRootRouteWithContext<{ queries: QueryClient }>()({ component: Outlet });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: signInSearch,
  component: lazyRouteComponent(() => import("./pages/sign-in/page"), "SignInPage"),
});

const password = createRoute({
  getParentRoute: () => root,
  path: "/password",
  component: lazyRouteComponent(() => import("./pages/password/page"), "PasswordPage"),
});

/** Everything behind the log-in: nothing below is fetched before the session is known. */
const frame = createRoute({
  getParentRoute: () => root,
  id: "frame",
  beforeLoad: async ({ context, location }) => {
    try {
      const me = await context.queries.fetchQuery({ ...read.session(), staleTime: 60_000 });
      if (!me.must_change_password) return;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      throw redirect({ to: "/sign-in", search: { next: location.href } });
    }
    throw redirect({ to: "/password" });
  },
  component: lazyRouteComponent(() => import("./pages/frame/page"), "FramePage"),
});

const tree = root.addChildren([signIn, password, frame]);

export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { queries },
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultErrorComponent: Broken,
    defaultNotFoundComponent: NotFound,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
