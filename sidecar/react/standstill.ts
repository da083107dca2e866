/** What is done with an element that ought to play and stands still: a plain decision. */

export type Remedy = "tell again" | "load again" | "give up" | null;

const TELL_AT = 2;
const LOAD_AT = [3, 10, 20]; // where it has bytes to play
const LOAD_WITHOUT_BYTES_AT = [10, 20]; // a slow line is given time: bytes that arrive count as progress
const GIVE_UP_AT = 40;
const HAVE_FUTURE_DATA = 3; // HTMLMediaElement.readyState, in the HTML standard

/** `looks`: how often in a row, once a second, neither its time nor what is buffered had moved. */
export function remedy(looks: number, readyState: number): Remedy {
  const hasBytes = readyState >= HAVE_FUTURE_DATA;
  if (looks === GIVE_UP_AT) return "give up";
  if ((hasBytes ? LOAD_AT : LOAD_WITHOUT_BYTES_AT).includes(looks)) return "load again";
  return hasBytes && looks === TELL_AT ? "tell again" : null;
}
