// Numbers and times as people read them.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const finer = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const signed = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2, minimumFractionDigits: 2, signDisplay: "exceptZero" });
const share = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export const count = (value: number): string => whole.format(Math.round(value));
export const compact = (value: number): string => (value < 10_000 ? whole.format(Math.round(value)) : short.format(value));
export const percent = (value: number): string => share.format(value);
export const score = (value: number): string => signed.format(value);

/** Taps a second. */
export function rate(value: number): string {
  if (value >= 10_000) return short.format(value);
  return (value >= 100 ? whole : value >= 1 ? fine : finer).format(value);
}

export const time = (ms: number): string => clock.format(ms);
export const minute = (ms: number): string => hour.format(ms);
export const date = (ms: number): string => day.format(ms);
export const dateTime = (ms: number): string => moment.format(ms);

const UNITS: [string, number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
];

/** A length of time in its largest unit, such as `12 sec`. */
export function length(ms: number): string {
  if (ms < 1_000) return `${whole.format(Math.max(0, Math.round(ms)))} ms`;
  const [unit, size] = UNITS.find(([, size]) => ms >= size)!;
  return new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(ms / size);
}

const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

export function since(ms: number): string {
  if (ms < 1_000) return ago.format(0, "second");
  const [unit, size] = UNITS.find(([, size]) => ms >= size)!;
  return ago.format(-Math.floor(ms / size), unit as Intl.RelativeTimeFormatUnit);
}

/** A score in a word: the figure alone says little. */
export function mood(value: number | null | undefined): string {
  if (value === null || value === undefined) return "not known";
  if (value >= 0.5) return "delighted";
  if (value >= 0.15) return "cheerful";
  if (value > -0.15) return "mixed";
  if (value > -0.5) return "gloomy";
  return "upset";
}
