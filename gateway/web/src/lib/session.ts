// Who uses the page: the token that its link brought, and a name for the device.

import { newId } from "../../ovation.js";

const TOKEN = "ovation.token";
const USER = "ovation.user";

/**
 * The token that the page's link brings behind `#`, which no server is told. It goes out of the address at once, so that it
 * stays in no history and on no shared screen, and is kept until the tab is closed. What else stands behind `#` stays.
 */
export function tokenHere(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem(TOKEN, given);
    return given ?? sessionStorage.getItem(TOKEN) ?? undefined;
  } catch {
    return given ?? undefined;
  } finally {
    if (given !== null) history.replaceState(history.state, "", location.pathname + location.search + withoutToken(location.hash));
  }
}

/** Keeps a token that somebody has typed, until the tab is closed. */
export function keepToken(given: string): void {
  try {
    sessionStorage.setItem(TOKEN, given);
  } catch {
    // Then it lasts as long as the page.
  }
}

/** A fragment without the token in it; empty if nothing is left. */
export function withoutToken(fragment: string): string {
  const rest = fragment.slice(1).split("&").filter((part) => part !== "token" && !part.startsWith("token="));
  return rest.some(Boolean) ? `#${rest.join("&")}` : "";
}

/** Whether the token says whose every reaction is. Then another name would be refused. */
export function namesUser(token: string | undefined): boolean {
  try {
    const claims = token?.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/");
    return claims !== undefined && JSON.parse(atob(claims)).sub !== undefined;
  } catch {
    return false;
  }
}

/** Who taps on this device: a random name that says nothing, kept where the browser allows. */
export function whoTaps(): string {
  try {
    const known = localStorage.getItem(USER) ?? newId();
    localStorage.setItem(USER, known);
    return known;
  } catch {
    return newId();
  }
}
