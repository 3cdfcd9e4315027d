// Reactions that are not stored yet outlive the page: kept in the browser, and sent again under the same ids when it is
// loaded again. An id counts once, so nothing goes wrong if two tabs ever send the same.

import type { Waiting } from "../../ovation.js";

/** Each page has a key of its own, so that two tabs do not write over each other. */
const PREFIX = "ovation.waiting";
/** What is stored within this time is never written. */
const WRITE_MS = 400;
/** Reactions kept for a page: as many as wait in `ovation.js`. */
const KEPT_MAX = 64;
/** Pages that may leave something behind, waited for at a time. */
const PAGES_MAX = 16;
/** A page's own word is not believed beyond this: ids are remembered for 60 s. */
const AGE_MS_MAX = 45_000;

/** What a page left, as far as it makes sense: another version, or a person, may have written it. */
export function read(text: string | null, now: number): Waiting[] {
  let found: unknown;
  try {
    found = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(found)) return [];
  const good = (item: Partial<Waiting> | null): item is Waiting =>
    typeof item?.id === "string" &&
    typeof item.emoji === "string" &&
    typeof item.room === "string" &&
    Number.isInteger(item.count) &&
    Number.isFinite(item.until) &&
    (item.until as number) <= now + AGE_MS_MAX;
  return found.filter(good).slice(0, KEPT_MAX);
}

export class Kept {
  /** Of this page. */
  readonly #key: string;
  readonly #waiting: () => Waiting[];
  readonly #found: (left: Waiting[]) => void;
  readonly #off = new AbortController();
  /** Keys of other pages, asked for and not taken yet. */
  readonly #asked = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #written = false;

  /** @param found what pages that are gone have left, for the same room */
  constructor(place: string, waiting: () => Waiting[], found: (left: Waiting[]) => void) {
    const prefix = `${PREFIX} ${place} `;
    this.#key = prefix + Math.random().toString(36).slice(2);
    this.#waiting = waiting;
    this.#found = found;
    addEventListener("pagehide", () => this.#write(), { signal: this.#off.signal });
    document.addEventListener("visibilitychange", () => this.#write(), { signal: this.#off.signal });
    void this.#hold(this.#key, () => new Promise((done) => this.#off.signal.addEventListener("abort", done)));
    for (const key of keysWith(prefix)) this.#ask(key);
    // A page writes when it has something to lose, which may be long after this one began, or its last act. Without
    // locks it cannot be told whether it is gone.
    const wrote = ({ key, newValue }: StorageEvent) => {
      if (navigator.locks && newValue && key?.startsWith(prefix)) this.#ask(key);
    };
    addEventListener("storage", wrote, { signal: this.#off.signal });
  }

  /** Takes what another page left, when it is gone: as long as it has the lock of its key, it is there. */
  #ask(key: string): void {
    if (this.#asked.has(key) || this.#asked.size >= PAGES_MAX) return;
    this.#asked.add(key);
    void this.#hold(key, () => {
      this.#asked.delete(key);
      const left = read(take(key), Date.now());
      if (left.length && !this.#off.signal.aborted) this.#found(left);
    });
  }

  /** What waits has changed. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.#write(), WRITE_MS);
  }

  /** The page does without it from now on. */
  close(): void {
    this.#write();
    clearTimeout(this.#timer);
    this.#off.abort();
  }

  /** Without locks (on a page without TLS) each page takes what it finds. */
  async #hold(key: string, work: () => unknown): Promise<void> {
    try {
      if (navigator.locks) await navigator.locks.request(key, { signal: this.#off.signal }, async () => work());
      else if (key !== this.#key) {
        await null;
        work();
      }
    } catch {
      // It was closed before it was its turn.
    }
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting();
    if (!waiting.length && !this.#written) return;
    try {
      if (waiting.length) localStorage.setItem(this.#key, JSON.stringify(waiting));
      else localStorage.removeItem(this.#key);
      this.#written = waiting.length > 0;
    } catch {
      // The browser keeps nothing for this page.
    }
  }
}

function keysWith(prefix: string): string[] {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  } catch {
    return [];
  }
}

function take(key: string): string | null {
  const text = localStorage.getItem(key);
  localStorage.removeItem(key);
  return text;
}
