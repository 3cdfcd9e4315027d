// The moments of a room.

import type { Moment } from "./records";

/** Moments kept; the oldest go first. */
const MOMENTS_MAX = 200;

export class Moments {
  #known = new Map<string, Moment>();

  /** Keeps a moment unless a later revision of it is known. */
  keep(moment: Moment): void {
    const known = this.#known.get(moment.id);
    const [older, newer] = [known?.epoch ?? 0, moment.epoch ?? 0];
    if (known && (older > newer || (older === newer && known.revision > moment.revision))) return;
    this.#known.set(moment.id, moment);
    if (this.#known.size > MOMENTS_MAX) {
      const [oldest] = [...this.#known.values()].sort((one, other) => one.start - other.start);
      if (oldest) this.#known.delete(oldest.id);
    }
  }

  /** Those that lie in [from, to) in part, newest first. */
  within(from: number, to: number): Moment[] {
    const found = [...this.#known.values()].filter(({ start, end }) => end > from && start < to);
    return found.sort((one, other) => other.start - one.start);
  }
}

/** Around a moment, so that one sees what it stands out from. */
export function around({ start, end }: Moment): { from: number; to: number } {
  const room = Math.max(60_000, 2 * (end - start));
  return { from: start - room, to: end + room };
}

/** A line for a terminal that reads the reactions from where the moment begins. */
export function replayLine({ replay }: Moment): string {
  return `fluvio consume ${replay.topic} -p ${replay.partition} --start ${replay.offset}`;
}
