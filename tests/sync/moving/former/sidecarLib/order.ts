/** The order in which people expect names, and what of a scene can be played in order. */

/** A text whose order is the natural one: scene-2 comes before scene-10. Equal for 2 and 02. */
export function naturalKey(text: string): string {
  return text.replace(/\d+/g, (digits) => {
    const number = digits.replace(/^0+/, "");
    return String(number.length).padStart(4, "0") + number;
  });
}

/**
 * How many chunks follow each other from the first one on: what a player may play already. Numbering begins at
 * `first`; where nobody says so, at 0, and once all is there at its lowest index: a 0 may still come.
 */
export function contiguous(
  indexes: (number | null)[],
  { first, isComplete }: { first: number | undefined; isComplete: boolean },
): number {
  const numbered = indexes.filter((index) => index !== null);
  if (numbered.length === 0) return isComplete ? indexes.length : 0;
  let next = first ?? (isComplete ? numbered[0]! : 0);
  let count = 0;
  for (const index of numbered) {
    if (index === next) next += 1;
    else if (index !== next - 1 || count === 0) break;
    count += 1;
  }
  return isComplete && count === numbered.length ? indexes.length : count;
}
