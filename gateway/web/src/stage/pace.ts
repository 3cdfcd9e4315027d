// Lets taps rise evenly: the feed brings them in portions, and a swarm that rose in portions would come in waves.

import { EMOJI_MAX, type Roster } from "./roster";

/** A portion rises over so many of the times between portions: more than one, so that a late one leaves no gap. */
const SPREAD = 2;
const SPREAD_MS_MIN = 120;
const SPREAD_MS_MAX = 900;
/** Times between portions longer than this are quiet, and say nothing about the pace. */
const QUIET_MS = 1_000;
/** The first particle of what waits comes at once, and then one for each that is due. */
const FIRST = 1 - 1e-6;

export class Pace {
  readonly #roster: Roster;
  readonly #due = new Float64Array(EMOJI_MAX);
  /** Taps per ms until the next portion. */
  readonly #speed = new Float64Array(EMOJI_MAX);
  #between = 100;
  #portionAt = -Infinity;

  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /** Taps have come. */
  portion(now: number): void {
    const passed = now - this.#portionAt;
    this.#portionAt = now;
    if (passed < QUIET_MS) this.#between += (passed - this.#between) * 0.1;
    const spread = Math.min(SPREAD_MS_MAX, Math.max(SPREAD_MS_MIN, SPREAD * this.#between));
    const { waiting } = this.#roster;
    for (let place = 0; place < EMOJI_MAX; place++) this.#speed[place] = waiting[place]! / spread;
  }

  /** Nothing is due any more. */
  drop(): void {
    this.#roster.drop();
    this.#due.fill(0);
    this.#speed.fill(0);
  }

  /** Taps that wait. */
  waiting(): number {
    const { waiting } = this.#roster;
    let sum = 0;
    for (let place = 0; place < EMOJI_MAX; place++) sum += waiting[place]!;
    return sum;
  }

  /** What is due in these `ms`: calls `rise` for each particle, of which each stands for `weight` taps. */
  step(ms: number, weight: number, rise: (place: number) => void): void {
    const { waiting } = this.#roster;
    for (let place = 0; place < EMOJI_MAX; place++) {
      const left = waiting[place]!;
      if (left <= 0) continue;
      const taps = Math.min(left, this.#speed[place]! * ms);
      // A rest too small for the speed to end it in the next frame goes along: floats never add up to nothing.
      const rest = left - taps < 1e-6 ? left : taps;
      waiting[place] = left - rest;
      const before = this.#due[place]!;
      const after = before + rest / weight;
      for (let risen = Math.floor(before + FIRST); risen < Math.floor(after + FIRST); risen++) rise(place);
      this.#due[place] = after % 1 < 1e-9 ? 0 : after % 1;
    }
  }
}
