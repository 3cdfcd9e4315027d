// The stage in a sentence, for those who hear it.

import type { Board } from "./show";

/** Sentences follow one another no faster. */
export const SPOKEN_MS_MIN = 15_000;

const number = new Intl.NumberFormat("en");

/** Empty where there is nothing to say. `banner` is the last moment that has not been told. */
export function spoken({ total, rate, leaders, banner }: Pick<Board, "total" | "rate" | "leaders" | "banner">): string {
  if (total === 0) return "";
  const [leader] = leaders;
  const sentences = [total === 1 ? "1 reaction." : `${number.format(total)} reactions.`];
  sentences.push(rate >= 0.5 ? `${number.format(Math.round(rate))} a second.` : "Quiet at the moment.");
  if (leader) sentences.push(`${leader.emoji} leads.`);
  if (banner) sentences.unshift(`${banner.emoji} ${banner.text}.`);
  return sentences.join(" ");
}
