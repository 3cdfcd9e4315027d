// Which emoji has which colour. An emoji keeps its colour while it is shown, whatever its place.

import { LEADING_MAX, OTHERS } from "./series";

/** Colours are the style sheet's: `--series-0` and so on, and one for the others. */
export class Palette {
  #slots = new Map<string, number>();

  /** A slot for each name, from 0; -1 for the others. */
  slots(names: string[]): number[] {
    for (const known of this.#slots.keys()) if (!names.includes(known)) this.#slots.delete(known);
    const taken = new Set(this.#slots.values());
    for (const name of names) {
      if (name === OTHERS || this.#slots.has(name)) continue;
      let free = 0;
      while (taken.has(free)) free++;
      taken.add(free);
      this.#slots.set(name, free);
    }
    return names.map((name) => (name === OTHERS ? -1 : this.#slots.get(name)! % LEADING_MAX));
  }
}

/** The style sheet's name of a slot's colour. */
export const colourOf = (slot: number): string => (slot < 0 ? "--series-others" : `--series-${slot}`);
