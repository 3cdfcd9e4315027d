// The picker as a module of its own: it is loaded when somebody asks for it.

import { mount, unmount } from "svelte";
import Picker from "./Picker.svelte";

export interface PickerOptions {
  /** The only emoji that may be chosen. */
  allowed: readonly string[] | null;
  /** One was chosen; the picker stays open. */
  pick: (emoji: string) => void;
  closed: () => void;
}

/** Opens it in `layer`. */
export type OpenPicker = (layer: HTMLElement, options: PickerOptions) => void;

export const openPicker: OpenPicker = (layer, options) => {
  const closed = () => {
    void unmount(picker);
    options.closed();
  };
  const picker = mount(Picker, { target: layer, props: { ...options, closed } });
};
