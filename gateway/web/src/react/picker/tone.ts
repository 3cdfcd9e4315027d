// The skin tone that was chosen on this device.

import { TONES } from "./emoji";

const KEY = "ovation.tone";

export function toneHere(): string {
  try {
    const known = localStorage.getItem(KEY);
    return TONES.find(({ tone }) => tone === known)?.tone ?? "";
  } catch {
    return "";
  }
}

export function keepTone(tone: string): void {
  try {
    localStorage.setItem(KEY, tone);
  } catch {
    // It holds until the picker is closed.
  }
}
