// <ovation-reactions room="lobby">: buttons and counts of a room, on any page.

import { mount, unmount } from "svelte";
import { listed } from "../react/choice";
import Reactions from "../react/Reactions.svelte";
import { namesUser, whoTaps } from "../lib/session";
import type { OpenPicker } from "../react/picker/picker";
import colours from "../react/colours.css?inline";
import picker from "../react/picker.css?inline";
import reactions from "../react/reactions.css?inline";
import own from "./embed.css?inline";

const NAME = "ovation-reactions";
/** Where this module came from: that is the gateway, if the page names no other. */
const HERE = new URL(import.meta.url);

// A style sheet that is adopted needs no leave of the page's `style-src`, as elements and attributes do.
const sheet = new CSSStyleSheet();
sheet.replaceSync([colours, reactions, picker, own].join("\n"));

async function loadPicker(): Promise<OpenPicker> {
  const url = new URL("ovation-picker.js", HERE);
  const { openPicker } = (await import(/* @vite-ignore */ url.href)) as { openPicker: OpenPicker };
  return openPicker;
}

export class OvationReactions extends HTMLElement {
  /** `theme` is a matter of style alone. */
  static readonly observedAttributes = ["room", "server", "emoji", "token"];

  #shown: Record<string, unknown> | undefined;
  #due = false;

  connectedCallback(): void {
    if (!this.shadowRoot) this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    this.#changed();
  }

  disconnectedCallback(): void {
    this.#changed();
  }

  attributeChangedCallback(): void {
    if (this.#shown) this.#changed();
  }

  /** Several changes of a moment are one; an element that is only moved loses its connection, and gets another. */
  #changed(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (this.#shown) void unmount(this.#shown);
      this.#shown = this.isConnected ? this.#show() : undefined;
    });
  }

  #show(): Record<string, unknown> | undefined {
    const room = this.getAttribute("room");
    const { shadowRoot } = this;
    if (!room || !shadowRoot) return undefined;
    const token = this.getAttribute("token") ?? undefined;
    const props = {
      room,
      server: this.#server(),
      token,
      user: namesUser(token) ? undefined : whoTaps(),
      wanted: listed(this.getAttribute("emoji")),
      loadPicker,
      standing: true,
      stored: (detail: unknown) => this.#tell("reacted", detail),
      changed: (state: string) => this.#tell("state", { state }),
    };
    return mount(Reactions, { target: shadowRoot, props });
  }

  #server(): URL {
    const url = new URL(this.getAttribute("server") ?? HERE, document.baseURI);
    if (this.hasAttribute("server") && !url.pathname.endsWith("/")) url.pathname += "/";
    return this.hasAttribute("server") ? url : new URL(".", url);
  }

  #tell(what: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(`ovation-${what}`, { detail, bubbles: true, composed: true }));
  }
}

// Two copies of this module on a page are one element.
if (!customElements.get(NAME)) customElements.define(NAME, OvationReactions);
