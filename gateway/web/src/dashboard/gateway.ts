// Questions to the gateway over HTTP, and what time it is there.

import type { Problem } from "../../ovation-api.js";

/** Why a question has no answer, for people; `status` 0 where nobody answered. */
export class Refused extends Error {
  readonly status: number;
  /** Seconds to wait before it makes sense to ask again. */
  readonly retryAfter: number | undefined;

  constructor(status: number, problem: Partial<Problem>, retryAfter?: number) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** A computer's clock that is off by less than that is taken for right: `Date` tells whole seconds. */
const CLOCK_MS_OFF = 3_000;

let bearer: string | undefined;
let ahead = 0;

export function useToken(token: string | undefined): void {
  bearer = token;
}

export const token = (): string | undefined => bearer;

/** The gateway's time, ms since 1970. */
export const present = (): number => Date.now() + ahead;

/** An answer of the gateway; rejects with `Refused`, or as `fetch` does when it was given up. */
export async function ask(url: string | URL, signal?: AbortSignal): Promise<Response> {
  const headers = bearer ? { authorization: `Bearer ${bearer}` } : undefined;
  let answer;
  try {
    answer = await fetch(url, { headers, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, { detail: "The gateway does not answer." });
  }
  const told = Date.parse(answer.headers.get("date") ?? "");
  if (told) ahead = Math.abs(told - Date.now()) > CLOCK_MS_OFF ? told - Date.now() : 0;
  if (answer.ok) return answer;
  const problem: Partial<Problem> = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem, Number(answer.headers.get("retry-after")) || undefined);
}

export const pathOf = (room: string): string => `/v1/rooms/${encodeURIComponent(room)}`;

/** Does `work` now and every `ms` ms while the page can be seen; the answer ends that. */
export function whileVisible(ms: number, work: () => void): () => void {
  let timer: ReturnType<typeof setInterval> | undefined;
  const follow = () => {
    clearInterval(timer);
    timer = undefined;
    if (document.visibilityState === "hidden") return;
    work();
    timer = setInterval(work, ms);
  };
  document.addEventListener("visibilitychange", follow);
  follow();
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", follow);
  };
}

/** Calls `work` in the next frame, once, however often it is asked to. */
export function onceAFrame(work: () => void): () => void {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      work();
    });
  };
}
