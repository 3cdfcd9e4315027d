// Floating emoji: a fixed number of elements, used again and again, that the compositor moves.

import { AIRBORNE_MAX, FLIGHT_MS, Pace } from "./pace";

/** Own taps rise besides, so that a crowd does not crowd them out. */
const OWN_MAX = 16;
/** Shortest time between two of the crowd. */
const STEP_MS_MIN = 30;

const between = (from: number, to: number) => from + Math.random() * (to - from);

export class Sky {
  readonly #box: HTMLElement;
  readonly #calm = matchMedia("(prefers-reduced-motion: reduce)");
  readonly #pace = new Pace();
  /** Elements that are on the ground. */
  readonly #free: HTMLElement[] = [];
  #airborne = 0;
  #ownAirborne = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(box: HTMLElement) {
    this.#box = box;
  }

  /** The crowd tapped so much more. */
  add(counts: ReadonlyMap<string, number>): void {
    if (this.#still) return;
    this.#pace.add(counts, performance.now());
    this.#wait();
  }

  /** An own tap rises at once, from where the finger is. */
  own(emoji: string, from: Element | null): void {
    if (this.#still || this.#ownAirborne >= OWN_MAX) return;
    const box = this.#box.getBoundingClientRect();
    const button = from?.getBoundingClientRect();
    const x = button ? button.left + button.width / 2 - box.left : between(0.2, 0.8) * box.width;
    const y = button ? box.bottom - button.top - button.height / 2 : 0;
    this.#ownAirborne += 1;
    this.#rise(emoji, x + between(-12, 12), y, between(2.1, 2.6), () => (this.#ownAirborne -= 1));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#box.replaceChildren();
  }

  get #still(): boolean {
    return this.#calm.matches || document.hidden;
  }

  #wait(): void {
    if (this.#timer !== undefined) return;
    const delay = this.#pace.delay(performance.now());
    if (delay === null) return;
    this.#timer = setTimeout(() => this.#step(), Math.max(STEP_MS_MIN, delay));
  }

  #step(): void {
    this.#timer = undefined;
    if (this.#still) return this.#pace.clear();
    const emoji = this.#pace.take();
    if (emoji !== undefined && this.#airborne < AIRBORNE_MAX) {
      this.#airborne += 1;
      const x = between(0.05, 0.95) * this.#box.clientWidth;
      this.#rise(emoji, x, 0, between(1.4, 2.4), () => (this.#airborne -= 1));
    }
    this.#wait();
  }

  #rise(emoji: string, x: number, y: number, rem: number, landed: () => void): void {
    const float = this.#free.pop() ?? this.#made();
    if (float.textContent !== emoji) float.textContent = emoji;
    float.hidden = false;
    float.style.setProperty("left", `${x}px`);
    float.style.setProperty("bottom", `${y}px`);
    float.style.setProperty("font-size", `${rem}rem`);
    const height = (this.#box.clientHeight - y) * between(0.65, 0.95);
    const sway = between(-36, 36);
    const at = (dx: number, dy: number, scale: number) => `translate(-50%, 0) translate(${dx}px, ${-dy}px) scale(${scale})`;
    const path: Keyframe[] = [
      { transform: at(0, 0, 0.5), opacity: 0 },
      { transform: at(sway * 0.3, height * 0.12, 1.05), opacity: 1, offset: 0.1 },
      { transform: at(-sway * 0.4, height * 0.6, 1), opacity: 0.85, offset: 0.6 },
      { transform: at(sway, height, 0.9), opacity: 0 },
    ];
    const flight = float.animate(path, { duration: FLIGHT_MS * between(0.8, 1.2), easing: "ease-out" });
    const land = () => {
      float.hidden = true;
      this.#free.push(float);
      landed();
    };
    flight.addEventListener("finish", land, { once: true });
    flight.addEventListener("cancel", land, { once: true });
  }

  #made(): HTMLElement {
    const float = document.createElement("span");
    float.className = "float";
    this.#box.append(float);
    return float;
  }
}
