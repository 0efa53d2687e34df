// One way to talk to the server: every failure is an `ApiError`.
import createClient from "openapi-fetch";
import type { paths } from "./api.gen";
import type { Problem } from "./contract";

/** What the server refused, or that it could not be reached (status 0). */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }
}

export const client = createClient<paths>({
  // Absolute, because requests are built before they are sent.
  baseUrl: `${location.origin}/api/v1`,
  // Looked up for each request, so that tests may put theirs in its place.
  fetch: (request) => fetch(request),
});

interface Asked<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a good answer. */
export async function answered<T>(asked: Promise<Asked<T>>): Promise<T> {
  const { data, error, response } = await reached(asked);
  if (response.ok) return data as T;
  // A proxy in between may answer with a page of its own.
  const told = typeof error === "object" && error !== null ? (error as Partial<Problem>) : {};
  throw new ApiError({
    type: "about:blank",
    title: response.statusText,
    detail: "",
    ...told,
    status: response.status,
  });
}

async function reached<T>(asked: Promise<Asked<T>>): Promise<Asked<T>> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError({ type: "about:blank", title: "unreachable", detail: "", status: 0 });
  }
}
