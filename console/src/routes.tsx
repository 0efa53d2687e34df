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
import {
  assetsSearch,
  changesSearch,
  dashboardSearch,
  detectionsSearch,
  eventsSearch,
  parseSearch,
  responseSearch,
  serverSearch,
  serversSearch,
  settingsSearch,
  signInSearch,
  stringifySearch,
} from "./search";

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

const dashboard = createRoute({
  getParentRoute: () => frame,
  path: "/",
  validateSearch: dashboardSearch,
  component: lazyRouteComponent(() => import("./pages/dashboard/page"), "DashboardPage"),
});

const servers = createRoute({
  getParentRoute: () => frame,
  path: "/servers",
  validateSearch: serversSearch,
  component: lazyRouteComponent(() => import("./pages/servers/page"), "ServersPage"),
});

const server = createRoute({
  getParentRoute: () => frame,
  path: "/servers/$host",
  validateSearch: serverSearch,
  component: lazyRouteComponent(() => import("./pages/server/page"), "ServerPage"),
});

const assets = createRoute({
  getParentRoute: () => frame,
  path: "/assets",
  component: lazyRouteComponent(() => import("./pages/assets/page"), "AssetsPage"),
});

const assetKind = createRoute({
  getParentRoute: () => frame,
  path: "/assets/$kind",
  validateSearch: assetsSearch,
  component: lazyRouteComponent(() => import("./pages/assets/kind"), "AssetKindPage"),
});

const changes = createRoute({
  getParentRoute: () => frame,
  path: "/changes",
  validateSearch: changesSearch,
  component: lazyRouteComponent(() => import("./pages/changes/page"), "ChangesPage"),
});

const events = createRoute({
  getParentRoute: () => frame,
  path: "/events",
  validateSearch: eventsSearch,
  component: lazyRouteComponent(() => import("./pages/events/page"), "EventsPage"),
});

const event = createRoute({
  getParentRoute: () => frame,
  path: "/events/$finding",
  component: lazyRouteComponent(() => import("./pages/events/finding"), "FindingPage"),
});

const response = createRoute({
  getParentRoute: () => frame,
  path: "/response/$section",
  validateSearch: responseSearch,
  component: lazyRouteComponent(() => import("./pages/response/page"), "ResponsePage"),
});

const responseIndex = createRoute({
  getParentRoute: () => frame,
  path: "/response",
  beforeLoad: () => {
    throw redirect({ to: "/response/$section", params: { section: "isolated" } });
  },
});

const detections = createRoute({
  getParentRoute: () => frame,
  path: "/detections",
  validateSearch: detectionsSearch,
  component: lazyRouteComponent(() => import("./pages/detections/page"), "DetectionsPage"),
});

const settings = createRoute({
  getParentRoute: () => frame,
  path: "/settings/$section",
  validateSearch: settingsSearch,
  component: lazyRouteComponent(() => import("./pages/settings/page"), "SettingsPage"),
});

const settingsIndex = createRoute({
  getParentRoute: () => frame,
  path: "/settings",
  beforeLoad: () => {
    throw redirect({ to: "/settings/$section", params: { section: "enrolment" } });
  },
});

const tree = root.addChildren([
  signIn,
  password,
  frame.addChildren([
    dashboard,
    servers,
    server,
    assets,
    assetKind,
    changes,
    events,
    event,
    response,
    responseIndex,
    detections,
    settings,
    settingsIndex,
  ]),
]);

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
