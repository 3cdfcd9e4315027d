// When the crowd's taps rise: evenly over the time between updates, so that they drift instead of coming in waves.

/** Emoji in the air at a time: a phone draws these without effort. */
export const AIRBORNE_MAX = 56;
/** How long one is in the air, in ms: the middle of what it varies by. */
export const FLIGHT_MS = 3_600;
/** Taps that wait to rise; of a larger crowd a sample does. */
export const WAITING_MAX = 48;
/** The time between updates, as far as it is believed. */
const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 1_500;
/** What the first update, and one after quiet, is spread over. */
const INTERVAL_MS = 500;
/** How much one interval moves the estimate. */
const WEIGHT = 0.3;

/** A number from 0 to 1, as `Math.random` gives. */
export type Chance = () => number;

/**
 * `size` of the taps, in proportion of emoji to within one: each `total / size`-th tap of a line in which they stand by emoji,
 * from a random place on. In random order.
 */
export function sample(counts: ReadonlyMap<string, number>, size: number, chance: Chance = Math.random): string[] {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const step = Math.max(1, total / size);
  const taken: string[] = [];
  let next = step === 1 ? 0 : chance() * step;
  let passed = 0;
  for (const [emoji, count] of counts) {
    passed += count;
    for (; next < passed; next += step) taken.push(emoji);
  }
  for (let at = taken.length - 1; at > 0; at--) {
    const other = Math.floor(chance() * (at + 1));
    [taken[at], taken[other]] = [taken[other] as string, taken[at] as string];
  }
  return taken;
}

/** What waits to rise, and when the next one does. All times are ms on one clock. */
export class Pace {
  #waiting: string[] = [];
  /** Estimate of the time between updates. */
  #interval = INTERVAL_MS;
  #updated = -Infinity;
  /** When all that waits shall have risen. */
  #until = 0;
  readonly #chance: Chance;

  constructor(chance: Chance = Math.random) {
    this.#chance = chance;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** The crowd tapped so much more. */
  add(counts: ReadonlyMap<string, number>, now: number): void {
    const passed = now - this.#updated;
    if (passed > INTERVAL_MS_MAX) this.#interval = INTERVAL_MS;
    else this.#interval += WEIGHT * (Math.max(INTERVAL_MS_MIN, passed) - this.#interval);
    this.#updated = now;
    const rising = Math.ceil((AIRBORNE_MAX / FLIGHT_MS) * this.#interval);
    this.#waiting.push(...sample(counts, Math.max(1, rising), this.#chance));
    // More than this only waits where updates come faster than they are shown: then the oldest have had their time.
    this.#waiting.splice(0, this.#waiting.length - WAITING_MAX);
    this.#until = now + this.#interval;
  }

  /** Takes the next one to rise. */
  take(): string | undefined {
    return this.#waiting.shift();
  }

  /** How long to wait for the next one; null if nothing waits. */
  delay(now: number): number | null {
    if (!this.#waiting.length) return null;
    return Math.max(0, this.#until - now) / (this.#waiting.length + 1);
  }

  clear(): void {
    this.#waiting = [];
  }
}
