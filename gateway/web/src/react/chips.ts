// Emoji that have no button and are in use: they come and go, but none moves under a finger.

/** Chips of the crowd. */
const CHIPS_MAX = 6;

/**
 * The chips to show. Those of `before` keep their places, even when nobody taps them for a while; another one, of `counts`, takes
 * a free place, or that of the one with fewest taps if it has more.
 */
export function chipsOf(
  before: readonly string[],
  counts: Readonly<Record<string, number>>,
  may: (emoji: string) => boolean,
  max = CHIPS_MAX,
): string[] {
  const chips = before.filter(may).slice(0, max);
  const taps = (emoji: string | undefined) => (emoji === undefined ? 0 : (counts[emoji] ?? 0));
  const others = Object.keys(counts).filter((emoji) => !chips.includes(emoji) && may(emoji));
  for (const emoji of others.sort((one, other) => taps(other) - taps(one))) {
    if (chips.length < max) {
      chips.push(emoji);
      continue;
    }
    const least = chips.reduce((found, chip, at) => (taps(chip) < taps(chips[found]) ? at : found), 0);
    if (taps(emoji) <= taps(chips[least])) break;
    chips[least] = emoji;
  }
  return chips;
}
