// Modules for other people's pages, each whole in itself and at an address that stays: `vite build --mode NAME` makes
// ovation-NAME.js.

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { emojiList } from "./emoji-list";

const ENTRIES: Record<string, string> = {
  reactions: "src/embed/reactions.ts",
  picker: "src/react/picker/picker.ts",
};

export default defineConfig(({ mode }) => ({
  build: {
    outDir: "dist",
    // The pages are there already.
    emptyOutDir: false,
    modulePreload: { polyfill: false },
    target: "es2022",
    rollupOptions: {
      input: ENTRIES[mode] ?? [],
      // What the picker's module exports is its purpose.
      preserveEntrySignatures: "strict",
      output: { entryFileNames: `ovation-${mode}.js`, inlineDynamicImports: true },
    },
  },
  plugins: [emojiList(), svelte()],
}));
