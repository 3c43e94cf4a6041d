/** @module Two rows of events, one beside the other. */

/** Those that stand in each other's place, or one that nothing stands in the place of. */
export type Pair<A, B> = readonly [A | undefined, B | undefined];

/**
 * Returns the heaviest way to pair two rows without crossing (S. B. Needleman and C. D. Wunsch, 1970), gaps weighing nothing. A weight
 * is a whole number up to 255; those of 0 are not paired.
 */
export function align<A, B>(
  expected: readonly A[],
  found: readonly B[],
  weightOf: (one: A, other: B) => number,
): readonly Pair<A, B>[] {
  const width = found.length + 1;
  const best = new Uint32Array((expected.length + 1) * width);
  const at = (i: number, j: number) => best[i * width + j] ?? 0;
  const pairing = expected.map((one) => Uint8Array.from(found, (other) => weightOf(one, other)));
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = found.length - 1; j >= 0; j--) {
      const weight = pairing[i]?.[j] ?? 0;
      const paired = weight === 0 ? 0 : weight + at(i + 1, j + 1);
      best[i * width + j] = Math.max(paired, at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: Pair<A, B>[] = [];
  let [i, j] = [0, 0];
  while (i < expected.length || j < found.length) {
    const weight = pairing[i]?.[j] ?? 0;
    if (weight > 0 && at(i, j) === weight + at(i + 1, j + 1)) pairs.push([expected[i++], found[j++]]);
    else if (j < found.length && (i === expected.length || at(i, j) === at(i, j + 1)))
      pairs.push([undefined, found[j++]]);
    else pairs.push([expected[i++], undefined]);
  }
  return pairs;
}
