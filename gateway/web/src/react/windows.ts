// The windows of a room that a page knows: the latest record of each, and what a record adds to the one before.

import type { WindowUpdate } from "../../ovation.js";

/** Windows kept: those that may still change, and a few more. */
const WINDOWS_MAX = 32;

const lengthOf = ({ window }: WindowUpdate) => window.end - window.start;
// The end of a session grows: definition and start tell windows apart.
const keyOf = ({ window }: WindowUpdate) => `${window.name} ${window.start}`;

export class Windows {
  readonly #records = new Map<string, WindowUpdate>();

  clear(): void {
    this.#records.clear();
  }

  /**
   * Keeps a record, and tells the taps that it adds, by emoji. Only the shortest windows tell, so that each tap is told once;
   * null if nothing is to be told.
   */
  keep(record: WindowUpdate): Map<string, number> | null {
    const key = keyOf(record);
    const known = this.#records.get(key);
    if (known && (known.epoch > record.epoch || (known.epoch === record.epoch && known.revision > record.revision))) {
      return null;
    }
    if (record.retracted) {
      this.#records.delete(key);
      return null;
    }
    this.#records.set(key, record);
    this.#forget();
    if (!this.#tells(record)) return null;
    const before = known?.epoch === record.epoch ? known.counts : {};
    const more = Object.entries(record.counts).map(([emoji, count]) => [emoji, count - (before[emoji] ?? 0)] as const);
    return new Map(more.filter(([, count]) => count > 0));
  }

  /** The newest window; the shortest where several start together. */
  newest(): WindowUpdate | null {
    let found: WindowUpdate | null = null;
    for (const record of this.#records.values()) {
      const later = found ? record.window.start - found.window.start : 1;
      if (!found || later > 0 || (later === 0 && lengthOf(record) < lengthOf(found))) found = record;
    }
    return found;
  }

  #tells(record: WindowUpdate): boolean {
    for (const other of this.#records.values()) if (lengthOf(other) < lengthOf(record)) return false;
    return true;
  }

  #forget(): void {
    if (this.#records.size <= WINDOWS_MAX) return;
    const [oldest] = [...this.#records.values()].sort((one, other) => one.window.end - other.window.end);
    if (oldest) this.#records.delete(keyOf(oldest));
  }
}
