// Which emoji have a button.

/** Buttons beside the one for all other emoji. */
const BUTTONS_MAX = 20;
/** Nothing that is one emoji is longer, in UTF-16 units. */
const EMOJI_LENGTH_MAX = 20;

/** What has a button where neither the address nor the room says anything. */
const USUAL: readonly string[] = ["🔥", "❤️", "😂", "👏", "😮", "😢", "👍", "🎉"];

/** How these are called in this place; of others a screen reader knows the name. */
const NAMES = new Map([
  ["🔥", "Fire"],
  ["❤️", "Love"],
  ["😂", "Laughing"],
  ["👏", "Applause"],
  ["😮", "Surprise"],
  ["😢", "Sad"],
  ["👍", "Thumbs up"],
  ["🎉", "Party"],
]);

export function nameOf(emoji: string): string {
  return NAMES.get(emoji) ?? emoji;
}

/** U+FE0F asks for the picture; with and without it is one emoji. */
export function bare(emoji: string): string {
  return emoji.replaceAll("\uFE0F", "");
}

const TONES = /[\u{1F3FB}-\u{1F3FF}]/gu;

/** Whether a room with this list takes an emoji. One without a skin tone stands for its toned forms, too. */
export function takes(allowed: readonly string[] | null, emoji: string): boolean {
  const [whole, toneless] = [bare(emoji), bare(emoji).replace(TONES, "")];
  return allowed?.map(bare).some((one) => one === whole || one === toneless) ?? true;
}

/** A list as it stands in an address or an attribute: `🔥,👏`. */
export function listed(text: string | null | undefined): string[] {
  const parts = (text ?? "").split(/[\s,]+/u);
  const good = parts.filter((part) => part && part.length <= EMOJI_LENGTH_MAX && /\P{ASCII}/u.test(part));
  return [...new Set(good)].slice(0, BUTTONS_MAX);
}

/** The buttons of a room: as its place on the page says, else as the room's own list says. */
export function buttonsOf(wanted: readonly string[], allowed: readonly string[] | null): readonly string[] {
  const taken = (emoji: string) => takes(allowed, emoji);
  const chosen = wanted.filter(taken);
  if (chosen.length) return chosen;
  if (!allowed) return USUAL;
  const usual = USUAL.filter(taken);
  // A short list is all buttons; of a long one the usual ones come first.
  return allowed.length <= USUAL.length ? allowed : [...new Set([...usual, ...allowed])].slice(0, USUAL.length);
}

/** Columns of so many cells on a narrow place: rows that are full, or nearly. */
export function columnsOf(cells: number): number {
  if (cells <= 3) return Math.max(1, cells);
  const waste = (columns: number) => (columns - (cells % columns)) % columns;
  return waste(3) < waste(4) ? 3 : 4;
}
