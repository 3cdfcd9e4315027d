declare module "virtual:emoji-list" {
  /** See `emoji-list.ts` beside Vite's configuration. */
  const text: string;
  export default text;
}
