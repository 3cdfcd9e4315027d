// What the address of a stage asks for: `/s/ROOM?background=dark&position=left`. See docs/stage.md

/** Emoji that a filter names; the feed has no more of one room on a stage. */
const FILTER_MAX = 32;
const SCALE_MIN = 0.25;
const SCALE_MAX = 4;

/** The green of studio walls, which keyers know. */
export const KEY_GREEN = "#00b140";
export const DARK = "#0b0b10";
export const LIGHT = "#f6f4f0";

export interface StageOptions {
  /** A CSS colour; null is transparent. */
  background: string | null;
  /** The background is cut out by a keyer: what is drawn must be solid, for half of a colour would be half cut out. */
  keyed: boolean;
  /** The only emoji that rise and lead, as `plain` writes them; null for all. */
  emoji: ReadonlySet<string> | null;
  counters: boolean;
  moments: boolean;
  position: "left" | "right" | "full";
  /** Size of everything; 1 is for a screen seen as a whole. */
  scale: number;
}

/** An emoji without the sign for coloured presentation, which people leave out and the gateway puts in. */
export function plain(emoji: string): string {
  return emoji.replaceAll("\u{fe0f}", "");
}

/** Reads the query. What cannot be read is left out, and named to `warn`. */
export function readOptions(query: string, warn: (text: string) => void = () => {}): StageOptions {
  const given = new URLSearchParams(query);
  /** The parameter, read; `otherwise` without it, or where it means nothing. */
  function option<T>(name: string, otherwise: T, read: (text: string) => T | undefined): T {
    const text = given.get(name)?.trim();
    if (!text) return otherwise;
    const value = read(text);
    if (value === undefined) warn(`?${name}=${text} means nothing here and is left out.`);
    return value === undefined ? otherwise : value;
  }
  const oneOf =
    <T extends string>(...words: T[]) =>
    (text: string): T | undefined =>
      words.find((word) => word === text.toLowerCase());
  const onOff = (text: string): boolean | undefined => ({ on: true, off: false })[text.toLowerCase()];

  const background = option<string | null>("background", null, readBackground);
  return {
    background,
    keyed: background === KEY_GREEN,
    emoji: option<ReadonlySet<string> | null>("emoji", null, readFilter),
    counters: option("counters", true, onOff),
    moments: option("moments", true, onOff),
    position: option<StageOptions["position"]>("position", "full", oneOf("left", "right", "full")),
    scale: option("scale", 1, readScale),
  };
}

function readBackground(text: string): string | null | undefined {
  const name = text.toLowerCase();
  // In an address `#` has to be written %23; without it the colour is as clear.
  const hex = /^#?([0-9a-f]{3}|[0-9a-f]{6})$/.exec(name)?.[1];
  if (hex) return `#${hex}`;
  const known: Record<string, string | null> = { transparent: null, dark: DARK, light: LIGHT, green: KEY_GREEN };
  return Object.hasOwn(known, name) ? known[name] : undefined;
}

function readFilter(text: string): ReadonlySet<string> | undefined {
  const names = text.split(/[\s,]+/).filter((name) => /\p{Emoji}/u.test(name) && name.length <= 32);
  return names.length ? new Set(names.slice(0, FILTER_MAX).map(plain)) : undefined;
}

function readScale(text: string): number | undefined {
  const scale = Number(text);
  return scale > 0 ? Math.min(SCALE_MAX, Math.max(SCALE_MIN, scale)) : undefined;
}
