// The emoji that were chosen last on this device.

const KEY = "ovation.recent";
const RECENT_MAX = 24;

export function recent(): readonly string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((emoji) => typeof emoji === "string").slice(0, RECENT_MAX) : [];
  } catch {
    return [];
  }
}

/** Puts one in front. */
export function remember(emoji: string): readonly string[] {
  const now = [emoji, ...recent().filter((other) => other !== emoji)].slice(0, RECENT_MAX);
  try {
    localStorage.setItem(KEY, JSON.stringify(now));
  } catch {
    // It is known as long as the page is open.
  }
  return now;
}
