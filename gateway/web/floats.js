// Floating emoji: the crowd's taps, paced evenly so that they drift instead of coming in waves.

/** Taps that wait to be shown; of a larger crowd a fair sample is. */
const WAITING_MAX = 40;
/** Emoji in the air at a time: a phone draws these without effort. */
const AIRBORNE_MAX = 48;
/** What waits is spread over about this long. */
const SPREAD_MS = 700;
/** Shortest time between two. */
const STEP_MS_MIN = 35;

export class Floats {
  #sky;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #waiting = [];
  #airborne = 0;
  #timer = 0;

  constructor(sky) {
    this.#sky = sky;
  }

  /** The crowd tapped `emoji` `count` more times. */
  add(emoji, count) {
    if (this.#calm.matches || document.hidden) return;
    for (let tap = 0; tap < Math.min(count, WAITING_MAX); tap++) this.#waiting.push(emoji);
    while (this.#waiting.length > WAITING_MAX) {
      this.#waiting.splice(Math.floor(Math.random() * this.#waiting.length), 1);
    }
    if (!this.#timer) this.#step();
  }

  #step() {
    this.#timer = 0;
    const emoji = this.#waiting.shift();
    if (emoji === undefined) return;
    if (this.#airborne < AIRBORNE_MAX) this.#rise(emoji);
    const left = this.#waiting.length;
    this.#timer = setTimeout(() => this.#step(), Math.max(STEP_MS_MIN, SPREAD_MS / (left + 1)));
  }

  #rise(emoji) {
    const float = document.createElement("span");
    float.className = "float";
    float.textContent = emoji;
    float.style.left = `${4 + Math.random() * 88}%`;
    float.style.fontSize = `${1.4 + Math.random() * 1.2}rem`;
    this.#sky.append(float);
    this.#airborne += 1;
    const height = this.#sky.clientHeight * (0.65 + Math.random() * 0.3);
    const sway = (Math.random() - 0.5) * 70;
    const path = [
      { transform: "translate(0, 0) scale(0.6)", opacity: 0 },
      { transform: `translate(${sway * 0.3}px, ${-height * 0.2}px) scale(1)`, opacity: 0.9, offset: 0.2 },
      { transform: `translate(${-sway * 0.4}px, ${-height * 0.6}px) scale(1)`, opacity: 0.75, offset: 0.6 },
      { transform: `translate(${sway}px, ${-height}px) scale(0.9)`, opacity: 0 },
    ];
    const flight = float.animate(path, { duration: 3200 + Math.random() * 1600, easing: "ease-out" });
    const land = () => {
      float.remove();
      this.#airborne -= 1;
    };
    flight.addEventListener("finish", land, { once: true });
    flight.addEventListener("cancel", land, { once: true });
  }
}
