// All emoji: their groups, names and skin tones.

import text from "virtual:emoji-list";

export interface Emoji {
  emoji: string;
  name: string;
  /** What it is found by, in lower case. */
  words: string;
  toned: boolean;
  /** Version of Unicode's list, where not every device may draw it. */
  version: string;
}

export interface Group {
  name: string;
  emoji: Emoji[];
}

/** In Unicode's order; empty for none. */
export const TONES = [
  { tone: "", name: "No skin tone", face: "✋" },
  { tone: "\u{1F3FB}", name: "Light", face: "✋\u{1F3FB}" },
  { tone: "\u{1F3FC}", name: "Medium-light", face: "✋\u{1F3FC}" },
  { tone: "\u{1F3FD}", name: "Medium", face: "✋\u{1F3FD}" },
  { tone: "\u{1F3FE}", name: "Medium-dark", face: "✋\u{1F3FE}" },
  { tone: "\u{1F3FF}", name: "Dark", face: "✋\u{1F3FF}" },
] as const;

export const GROUPS: readonly Group[] = text.split("\n\n").map((part) => {
  const [name = "", ...lines] = part.split("\n");
  const emoji = lines.map((line) => {
    const [emoji = "", name = "", words = "", toned = "", version = ""] = line.split("\t");
    return { emoji, name, words: `${name} ${words.replaceAll(",", " ")}`.toLowerCase(), toned: toned === "+", version };
  });
  return { name, emoji };
});

/** What may take a tone; the hands that two people hold are theirs. */
const SKIN = /(?!(?<=\u200D)🤝)\p{Emoji_Modifier_Base}\uFE0F?/gu;

/** An emoji in a skin tone: each person and hand in it takes the tone. */
export function inTone({ emoji, toned }: Emoji, tone: string): string {
  return toned && tone ? emoji.replace(SKIN, (skin) => skin.replace("\uFE0F", "") + tone) : emoji;
}

/** Those with every word of `query` in name or words; the ones that begin with it first. */
export function search(emoji: readonly Emoji[], query: string): Emoji[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = emoji.filter((one) => one.emoji === query.trim() || words.every((word) => one.words.includes(word)));
  const [first = ""] = words;
  const rank = ({ words }: Emoji) => (words.startsWith(first) ? 0 : words.includes(` ${first}`) ? 1 : 2);
  return found.sort((one, other) => rank(one) - rank(other));
}
