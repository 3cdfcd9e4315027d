// The room's moments as banners: each once, one after the other, and never many.

import { plain, type StageOptions } from "./options";

/** Moments of which it is known that they were shown. */
const KNOWN_MAX = 64;
/** Banners that wait. In a room where so much happens, the newest are the news. */
const QUEUE_MAX = 3;
export const BANNER_MS = 6_500;
/** A moment that ended so long before the crowd's time is no news, for instance after a lost connection. */
const STALE_MS = 30_000;

/** What a stage reads of a moment as the feed tells it. */
export interface Moment {
  id: string;
  revision: number;
  /** End of its last window so far, ms since 1970. */
  end: number;
  peak?: { rate?: number | null; users?: number | null } | null;
  lift?: number | null;
  leading?: string | null;
  counts?: Record<string, number> | null;
}

export interface Banner {
  id: string;
  emoji: string;
  /** What it says, without the emoji. */
  text: string;
  detail: string;
  /** Its emoji for the burst, most first. */
  burst: string[];
}

const number = new Intl.NumberFormat("en");

export class Moments {
  /** What shows now. */
  shown: Banner | null = null;
  readonly #options: StageOptions;
  /** id -> highest revision. */
  readonly #known = new Map<string, number>();
  readonly #queue: Banner[] = [];
  #until = 0;

  constructor(options: StageOptions) {
    this.#options = options;
  }

  /** Those from before the page was there are not shown. */
  remember(moments: readonly Moment[]): void {
    for (const { id, revision } of moments) this.#know(id, revision);
  }

  /** A moment, or more of one. `time` is the crowd's. */
  take(moment: Moment, time: number): void {
    const known = this.#known.get(moment.id);
    if (known !== undefined && known >= moment.revision) return;
    this.#know(moment.id, moment.revision);
    const banner = this.#banner(moment);
    if (!banner) return;
    if (this.shown?.id === banner.id) {
      this.shown = banner;
      return;
    }
    const waits = this.#queue.findIndex(({ id }) => id === banner.id);
    if (waits >= 0) this.#queue[waits] = banner;
    else if (known === undefined && moment.end >= time - STALE_MS) {
      this.#queue.push(banner);
      if (this.#queue.length > QUEUE_MAX) this.#queue.shift();
    }
  }

  /** Goes on to the next banner when it is time. The answer is one that has just come. */
  step(now: number): Banner | null {
    if (this.shown && now < this.#until) return null;
    const had = this.shown !== null;
    // A breath between two, so that the second is seen as another one.
    if (had) {
      this.shown = null;
      this.#until = now + 400;
      return null;
    }
    if (now < this.#until) return null;
    const next = this.#queue.shift() ?? null;
    if (next) {
      this.shown = next;
      this.#until = now + BANNER_MS;
    }
    return next;
  }

  get busy(): boolean {
    return this.shown !== null || this.#queue.length > 0;
  }

  #know(id: string, revision: number): void {
    this.#known.delete(id);
    this.#known.set(id, revision);
    if (this.#known.size <= KNOWN_MAX) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      break;
    }
  }

  /** Null where the stage does not show it. */
  #banner({ id, lift, leading, counts, peak }: Moment): Banner | null {
    const { emoji, moments } = this.#options;
    if (!moments) return null;
    const named = Object.entries(counts ?? {}).sort(([, one], [, other]) => other - one);
    const all = named.length ? named.map(([name]) => name) : leading ? [leading] : [];
    const allowed = emoji ? all.filter((name) => emoji.has(plain(name))) : all;
    const [first] = allowed;
    if (first === undefined) return null;
    const face = leading && allowed.includes(leading) ? leading : first;
    const rate = peak?.rate;
    return {
      id,
      emoji: face,
      text: typeof lift === "number" && lift >= 1.05 ? `${times(lift)}× the usual` : "What a moment",
      detail: typeof rate === "number" && rate >= 1 ? `${number.format(Math.round(rate))} reactions a second` : "",
      burst: [face, ...allowed.filter((name) => name !== face)].slice(0, 4),
    };
  }
}

function times(lift: number): string {
  return number.format(lift >= 9.95 ? Math.round(lift) : Math.round(lift * 10) / 10);
}
