// The list of all emoji for the picker, made of two packages when the pages are built, so that browsers load no more of it
// than they need: a line for each emoji, a blank line between groups.

import { createRequire } from "node:module";
import type { Plugin } from "vite";

const NAME = "virtual:emoji-list";
/** Words to find an emoji by, beside its name. */
const WORDS_MAX = 6;
/** Every device draws what is this old. */
const OLD = 11;

interface Group {
  name: string;
  emojis: { emoji: string; name: string; skin_tone_support: boolean; emoji_version: string }[];
}

/**
 * A group's first line is its name; the others are emoji, name, words, and where they say something: `+` for skin tones, and the
 * version of Unicode's list that has it. Tabs stand between.
 */
function list(): string {
  const require = createRequire(import.meta.url);
  const groups = require("unicode-emoji-json/data-by-group.json") as Group[];
  const words = require("emojilib") as Record<string, string[]>;
  const lineOf = ({ emoji, name, skin_tone_support, emoji_version }: Group["emojis"][number]) => {
    const known = name.toLowerCase();
    const more = (words[emoji] ?? []).map((word) => word.replaceAll("_", " ").toLowerCase());
    const fresh = [...new Set(more)].filter((word) => !known.includes(word) && !/[\t\n,]/.test(word)).slice(0, WORDS_MAX);
    const version = Number(emoji_version) > OLD ? emoji_version : "";
    return [emoji, name, fresh.join(","), skin_tone_support ? "+" : "", version].join("\t").trimEnd();
  };
  return groups.map(({ name, emojis }) => [name, ...emojis.map(lineOf)].join("\n")).join("\n\n");
}

export function emojiList(): Plugin {
  return {
    name: "emoji-list",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => (id === `\0${NAME}` ? `export default ${JSON.stringify(list())};` : undefined),
  };
}
