// One way to talk to the server: JSON in, JSON out, every failure an `ApiError`.
import type { Problem } from "./contract";

const BASE = "/api/v1";

/** What the server refused, or that it could not be reached (status 0). */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  /** What is wrong with the field of a form, if the server named it. */
  field(name: string): string | undefined {
    return this.problem.errors?.find((it) => it.field === name || it.field.endsWith(`.${name}`))
      ?.detail;
  }
}

export type Query = Record<string, string | number | boolean | undefined>;

interface Options {
  query?: Query;
  body?: unknown;
  signal?: AbortSignal;
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options);
  if (!response.ok) throw new ApiError(await readProblem(response));
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

async function send(method: string, path: string, options: Options): Promise<Response> {
  try {
    return await fetch(url(path, options.query), {
      method,
      headers: options.body === undefined ? {} : { "content-type": "application/json" },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError({ title: "unreachable", status: 0 });
  }
}

function url(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text === "" ? BASE + path : `${BASE}${path}?${text}`;
}

async function readProblem(response: Response): Promise<Problem> {
  try {
    const problem = (await response.json()) as Partial<Problem>;
    return { title: response.statusText, ...problem, status: response.status };
  } catch {
    // A proxy in between may answer with a page of its own.
    return { title: response.statusText, status: response.status };
  }
}
