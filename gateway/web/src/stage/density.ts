// How thick the swarm is: of a small crowd each tap rises, of a stadium as many particles as the screen bears.

/** Particles on screen, bursts among them. */
export const PARTICLES_MAX = 600;
/** Of them, what is kept for bursts. */
export const BURST_MAX = 120;
/** How long a particle rises, in ms: on average. */
export const LIFE_MS = 5_200;

/** Taps per second up to which each tap is a particle. */
const EACH_MAX = 20;
/** Taps per second at which the swarm is as thick as it gets. */
const FULL_AT = 20_000;
/** Particles per second that keep the screen full and no more. */
const RISING_MAX = ((PARTICLES_MAX - BURST_MAX) * 1000) / LIFE_MS;
/** Between the two it grows with a power of the rate, so that each tenfold crowd looks about as much thicker. */
const POWER = Math.log(RISING_MAX / EACH_MAX) / Math.log(FULL_AT / EACH_MAX);

/** Particles per second for so many taps per second; `quality` from 0 to 1 is what the device bears. */
export function rising(rate: number, quality: number): number {
  if (rate <= 0) return 0;
  const full = rate <= EACH_MAX ? rate : Math.min(RISING_MAX, EACH_MAX * (rate / EACH_MAX) ** POWER);
  return Math.min(rate, full, RISING_MAX * quality);
}

/** Taps that a particle stands for: at least one. */
export function weightOf(rate: number, quality: number): number {
  const count = rising(rate, quality);
  return count > 0 ? Math.max(1, rate / count) : 1;
}

/** Size of a particle in parts of the usual one, by its emoji's share of the taps of late and by what it stands for. */
export function sizeOf(share: number, weight: number): number {
  return (0.75 + 0.6 * Math.sqrt(Math.min(1, Math.max(0, share)))) * (1 + 0.1 * Math.log10(Math.max(1, weight)));
}

const QUALITY_MIN = 0.15;
/** A frame that takes so much longer than the screen's own pace is late. */
const LATE = 1.4;
/** Of what is between two frames, what the page may work. */
const WORK_MAX = 0.5;
/** Frames until a judgement; where they are slow, this time is enough, in ms. */
const FRAMES = 30;
const JUDGED_MS = 700;
/** A judgement takes at most and at least so much. */
const WORST = 0.5;
const BAD = 0.85;
/** Particles that no device minds: what frames take then is the screen's own pace. */
const FEW = 30;
const FRAME_MS_MIN = 4;
const FRAME_MS_MAX = 60;
/** Longer than this the page was hidden, or the machine slept. */
const PAUSE_MS = 500;

/** What the device bears, found out by the times of its frames. A screen, or OBS, may well draw 30 frames a second. */
export class Quality {
  /** 0 to 1. */
  now = 1;
  /** Usual time between frames, in ms. */
  #usual = 1000 / 60;
  readonly #times = new Float64Array(FRAMES);
  #count = 0;
  #sum = 0;
  #work = 0;
  #flying = 0;

  /** A frame came `ms` after the last one, for which the page worked `work` ms, with so many particles. */
  frame(ms: number, work: number, flying: number): void {
    if (ms > PAUSE_MS) return;
    this.#times[this.#count++] = ms;
    this.#sum += ms;
    this.#work += work;
    this.#flying += flying;
    if (this.#count < FRAMES && this.#sum < JUDGED_MS) return;
    this.#judge(this.#count);
    this.#count = this.#sum = this.#work = this.#flying = 0;
  }

  #judge(count: number): void {
    const times = this.#times.subarray(0, count).sort();
    const middle = times[count >> 1]!;
    // Some frames may be late for reasons of others; a quarter of them is a burden.
    const slow = times[(count * 3) >> 2]!;
    if (this.#flying / count < FEW) this.#usual = Math.min(FRAME_MS_MAX, Math.max(FRAME_MS_MIN, middle));
    else if (slow > LATE * this.#usual || this.#work / count > WORK_MAX * this.#usual) {
      this.now = Math.max(QUALITY_MIN, this.now * Math.min(BAD, Math.max(WORST, this.#usual / slow)));
    } else this.now = Math.min(1, this.now * 1.03);
  }
}
