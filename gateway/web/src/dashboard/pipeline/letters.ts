// The original of a dead letter.

import type { DeadLetter } from "../records";

/** Longest original that is shown. */
const CHARACTERS_MAX = 600;

/** What was sent: text as it came; bytes that are no UTF-8 with `�` in their places. */
export function original({ event, event_encoding }: Pick<DeadLetter, "event" | "event_encoding">): string {
  const text = event_encoding === "base64" ? decoded(event) : event;
  return text.length > CHARACTERS_MAX ? `${text.slice(0, CHARACTERS_MAX)}…` : text;
}

function decoded(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
  } catch {
    return base64;
  }
}
