// The emoji that a stage knows at a time, each under a number of its own: what of it waits to rise, and how much it is of late.

/** Emoji at a time: as many as the sprite sheet has places. */
export const EMOJI_MAX = 64;
/** In this time what an emoji is of late becomes half, in ms. */
const HALF_LIFE_MS = 8_000;
/** Taps below which an emoji has been forgotten. */
const FORGOTTEN = 1e-3;
/** A new leader has to be ahead by so much, so that two that are level do not take turns. */
const LEAD = 1.1;

export interface Share {
  emoji: string;
  /** Of the taps of late, 0 to 1. */
  share: number;
}

export class Roster {
  readonly names: (string | null)[] = new Array<string | null>(EMOJI_MAX).fill(null);
  /** Taps that have not risen yet. */
  readonly waiting = new Float64Array(EMOJI_MAX);
  /** Taps, of which each counts less the longer ago it was. */
  readonly recent = new Float64Array(EMOJI_MAX);
  /** Particles in the air. */
  readonly flying = new Uint16Array(EMOJI_MAX);
  readonly #places = new Map<string, number>();
  #leader = -1;

  /** The number of an emoji: its own, or that of the least one that is not on screen. -1 where all are busier. */
  place(emoji: string): number {
    const known = this.#places.get(emoji);
    if (known !== undefined) return known;
    let least = -1;
    for (let place = 0; place < EMOJI_MAX; place++) {
      if (this.names[place] === null) {
        least = place;
        break;
      }
      if (this.flying[place]! > 0 || this.waiting[place]! > 0) continue;
      if (least < 0 || this.recent[place]! < this.recent[least]!) least = place;
    }
    if (least < 0) return -1;
    const old = this.names[least];
    if (old != null) this.#places.delete(old);
    if (this.#leader === least) this.#leader = -1;
    this.names[least] = emoji;
    this.recent[least] = 0;
    this.waiting[least] = 0;
    this.#places.set(emoji, least);
    return least;
  }

  /** New taps of an emoji: they rise, and count as recent. */
  add(emoji: string, taps: number): void {
    const place = this.place(emoji);
    if (place < 0) return;
    this.waiting[place]! += taps;
    this.recent[place]! += taps;
  }

  /** Taps from before the page was there: they count as recent, and do not rise. */
  remember(emoji: string, taps: number): void {
    const place = this.place(emoji);
    if (place >= 0) this.recent[place]! += taps;
  }

  /** Nothing waits any more. */
  drop(): void {
    this.waiting.fill(0);
  }

  age(ms: number): void {
    const left = 0.5 ** (ms / HALF_LIFE_MS);
    for (let place = 0; place < EMOJI_MAX; place++) this.recent[place]! *= left;
  }

  /** Of the taps of late, 0 to 1. */
  shareOf(place: number): number {
    let sum = 0;
    for (let other = 0; other < EMOJI_MAX; other++) sum += this.recent[other]!;
    return sum > 0 ? this.recent[place]! / sum : 0;
  }

  /** The emoji of late, most first. The first stays until another is clearly ahead. */
  leaders(count: number): Share[] {
    let sum = 0;
    const places: number[] = [];
    for (let place = 0; place < EMOJI_MAX; place++) {
      sum += this.recent[place]!;
      if (this.recent[place]! > FORGOTTEN) places.push(place);
    }
    places.sort((one, other) => this.recent[other]! - this.recent[one]!);
    const [first] = places;
    if (first === undefined) return [];
    if (this.#leader < 0 || this.recent[first]! > LEAD * this.recent[this.#leader]!) this.#leader = first;
    const order = [this.#leader, ...places.filter((place) => place !== this.#leader)].slice(0, count);
    return order.map((place) => ({ emoji: this.names[place] ?? "", share: this.recent[place]! / sum }));
  }
}
