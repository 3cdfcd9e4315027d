// What the page's address asks for, beside the room: `?emoji=🔥,👏`, `?embed`, `?theme=dark`, `?ground=none`.

import { listed } from "./choice";

export type Theme = "auto" | "light" | "dark";

export interface Address {
  /** Emoji that shall have a button. */
  emoji: string[];
  /** The page is part of another: without header and links. */
  embed: boolean;
  theme: Theme;
  /** The page behind a frame shows through. */
  clear: boolean;
}

export function addressOf(search: string): Address {
  const query = new URLSearchParams(search);
  const given = query.get("embed");
  const theme = query.get("theme");
  return {
    emoji: listed(query.get("emoji")),
    embed: given !== null && given !== "0" && given !== "false",
    theme: theme === "light" || theme === "dark" ? theme : "auto",
    clear: query.get("ground") === "none",
  };
}
