// The windows of a room, of which later revisions replace earlier ones.

import { keyOf, lengthOf, type Update, type WindowRef } from "./records";

/** Windows kept of a room that is shown: 2.7 h of those of 10 s. */
export const WINDOWS_MAX = 1_000;

const KINDS = ["tumbling", "hopping", "session"];

/** Sessions have no length of their own: they are drawn as finely as this, ms. */
const SESSION_MS = 1_000;

/** A kind of window that the room has. */
export type Definition = { name: string; kind: WindowRef["kind"]; length: number };

export class Windows {
  #known = new Map<string, Update>();
  #definitions = new Map<string, Definition>();
  readonly #most: number;
  /** Where the latest window ended that had to make space, ms since 1970. */
  forgotten = 0;

  constructor(most = WINDOWS_MAX) {
    this.#most = most;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Keeps a record; false if a newer one of its window is known. */
  keep(update: Update): boolean {
    const key = keyOf(update.window);
    const known = this.#known.get(key);
    if (known && (known.epoch > update.epoch || (known.epoch === update.epoch && known.revision > update.revision))) {
      return false;
    }
    const { name, kind } = update.window;
    this.#definitions.set(name, { name, kind, length: kind === "session" ? SESSION_MS : lengthOf(update.window) });
    // A record of a swallowed session holds nothing, and has to stay: an older one may still come.
    this.#known.set(key, update);
    if (this.#known.size > this.#most) this.#drop();
    return true;
  }

  /** Forgets the oldest windows, an eighth of all at a time. */
  #drop(): void {
    const oldestFirst = [...this.#known].sort(([, one], [, other]) => one.window.end - other.window.end);
    for (const [key, { window }] of oldestFirst.slice(0, Math.ceil(this.#most / 8))) {
      this.#known.delete(key);
      this.forgotten = Math.max(this.forgotten, window.end);
    }
  }

  /** Windows of a definition, in no order. */
  *of(name: string): Generator<Update> {
    for (const update of this.#known.values()) if (update.window.name === name && !update.retracted) yield update;
  }

  /** Start of the oldest window that may still change; `none` without one. */
  oldestOpen(name: string, none: number): number {
    let oldest = none;
    for (const { final, window } of this.of(name)) if (!final) oldest = Math.min(oldest, window.start);
    return oldest;
  }

  /** Tumbling ones first, the shortest of them foremost: they tell each tap once. */
  definitions(): Definition[] {
    const rank = ({ kind }: Definition) => KINDS.indexOf(kind);
    return [...this.#definitions.values()].sort((one, other) => rank(one) - rank(other) || one.length - other.length);
  }

  /** The definition of this name, or the usual one; null while no window is known. */
  definition(name: string | null): Definition | null {
    const all = this.definitions();
    return all.find((one) => one.name === name) ?? all[0] ?? null;
  }
}

/**
 * Taps a second at `now`: those of the last window's length, as if the taps of the window before had been even. A session
 * tells its own rate while it is open.
 */
export function rateAt(windows: Iterable<Update>, length: number, now: number): number {
  let taps = 0;
  for (const { window, total, final } of windows) {
    if (window.kind === "session") {
      if (!final) taps += (total * length) / Math.max(1_000, now - window.start);
      continue;
    }
    const own = lengthOf(window);
    // Windows may overlap: of those that contain the present the oldest knows most.
    if (window.kind === "hopping") {
      if (window.start <= now && now < window.end) taps = Math.max(taps, (total * length) / Math.max(1_000, now - window.start));
      continue;
    }
    if (window.start <= now && now < window.end) taps += total;
    else if (window.end <= now && now < window.end + own) taps += total * (1 - (now - window.end) / own);
    // A clock that is behind the gateway's.
    else if (window.start > now && window.start - now < own) taps += total;
  }
  return (taps * 1_000) / length;
}
