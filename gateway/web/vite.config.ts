import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { emojiList } from "./emoji-list";

/** The gateway that `npm run dev` talks to. */
const GATEWAY = process.env.OVATION_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  // What a page loads is named after its content, so that browsers may keep it for ever.
  build: {
    outDir: "dist",
    assetsInlineLimit: 0,
    // The pages' content policy allows no inline script, and their targets preload by themselves.
    modulePreload: { polyfill: false },
    target: "es2022",
    rollupOptions: { input: ["react.html", "stage.html", "dashboard.html"] },
  },
  plugins: [emojiList(), svelte()],
  server: { proxy: { "/v1": { target: GATEWAY, ws: true } } },
});
