// The past of a room, for the range that is shown: read once, in as many answers as it takes, and given up when another range is wanted.

import { ask, pathOf, present, Refused } from "./gateway";
import type { Answer, Step, Update } from "./records";

/** Records of a range. What is drawn has far fewer: windows that overlap cannot be added up by the gateway. */
const RECORDS_MAX = 10_000;
const PAGE_RECORDS_MAX = 2_000;
const PAGES_MAX = 20;
/** Ranges kept, for going back and forth. */
const KEPT_MAX = 24;
/** Windows that begin so long before the present are final, and their history stays as it is. */
const SETTLED_MS = 15 * 60_000;
const RETRIES_MAX = 3;

export type Asked = { room: string; window: string | null; from: number; to: number; step: number | null };

export type Past = {
  records: (Step | Update)[];
  /** There is more in the range than is kept. */
  cut: boolean;
};

export function queryOf({ window, from, to, step }: Asked): URLSearchParams {
  const query = new URLSearchParams({ from: String(from), to: String(to) });
  if (window) query.set("window", window);
  if (step) query.set("step", String(step));
  return query;
}

export class Histories {
  #kept = new Map<string, Past>();

  /** What a range holds. `part` is called with what has come so far, while there is more. */
  async read(asked: Asked, signal: AbortSignal, part: (past: Past) => void = () => {}): Promise<Past> {
    const query = queryOf(asked);
    const key = `${asked.room} ${query}`;
    const kept = this.#kept.get(key);
    if (kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept;
    }
    query.set("limit", String(PAGE_RECORDS_MAX));
    const past: Past = { records: [], cut: false };
    let url: URL | null = new URL(`${pathOf(asked.room)}/history?${query}`, location.href);
    for (let page = 1; url; page++) {
      const answer: Answer = await (await patiently(url, signal)).json();
      past.records.push(...answer.windows);
      url = answer.next ? new URL(answer.next, url) : null;
      if (url && (page >= PAGES_MAX || past.records.length >= RECORDS_MAX)) {
        past.cut = true;
        break;
      }
      if (url) part(past);
    }
    if (asked.to < present() - SETTLED_MS) {
      this.#kept.set(key, past);
      const [oldest] = this.#kept.keys();
      if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    }
    return past;
  }
}

/** Asks again where the gateway says that it is only busy. */
export async function patiently(url: string | URL, signal: AbortSignal): Promise<Response> {
  for (let retries = 0; ; retries++) {
    try {
      return await ask(url, signal);
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 503 || retries >= RETRIES_MAX) throw error;
      await pause((error.retryAfter ?? 1) * 1_000, signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      fail(signal.reason);
    });
  });
}
