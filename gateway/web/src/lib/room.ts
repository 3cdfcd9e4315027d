/** The room that the page's address names: `/r/ROOM`, `/s/ROOM`; null on a page of all rooms. */
export function roomHere(): string | null {
  const [, page, room] = location.pathname.split("/");
  return page && room ? decodeURIComponent(room) : null;
}
