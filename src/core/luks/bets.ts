/**
 * @module What somebody wins who bets on what comes next, at fair odds: of random digits nothing, whatever the method, and of digits that
 * somebody made up the more the longer they are.
 */

/** A bet on the next digit. Nobody may look at it, only at those before, to choose what to bet on. */
export interface Bet {
  /** How probable it is that a random digit wins. */
  readonly chance: number;
  readonly wins: boolean;
  /** What the bet is about, where there are several kinds: what is staked follows from the earlier ones of the same kind. */
  readonly about?: string;
  /** What share of such bets would be won if the digits were made up as is supposed; without it nothing is supposed. */
  readonly hope?: number;
}

/** As if so many bets had been made before where there is a hope. */
const HOPE = 8;

/**
 * Returns how many times the stake doubled when it was highest; each time it is staked by how many bets were won so far (Krichevsky and
 * Trofimov, 1981). Random digits double it `n` times in at most one of 2^n cases, however many there are (Ville's inequality).
 */
export function doublings(bets: Iterable<Bet>): number {
  const records = new Map<string | undefined, { won: number; all: number }>();
  let [stake, highest] = [0, 0];
  for (const { chance, wins, about, hope } of bets) {
    if (chance <= 0 || chance >= 1) continue;
    const { won, all } = records.get(about) ?? { won: 0, all: 0 };
    const share = hope === undefined ? (won + 1 / 2) / (all + 1) : (won + HOPE * hope) / (all + HOPE);
    stake += Math.log2(wins ? share / chance : (1 - share) / (1 - chance));
    highest = Math.max(highest, stake);
    records.set(about, { won: won + Number(wins), all: all + 1 });
  }
  return highest;
}

/** Bets that a digit is one of those for which `isOne` holds. */
export function* oneOf(digits: ArrayLike<number>, base: number, isOne: (digit: number) => boolean): Iterable<Bet> {
  const chance = Array.from({ length: base }, (_, digit) => digit).filter(isOne).length / base;
  for (const digit of Array.from(digits)) yield { chance, wins: isOne(digit) };
}

/** Bets on the digits that came more often than the average: few different ones, or some more frequent than others. */
export function* frequent(digits: ArrayLike<number>, base: number): Iterable<Bet> {
  const counts = new Array<number>(base).fill(0);
  for (const [i, digit] of Array.from(digits).entries()) {
    const isFrequent = (count: number) => count * base > i;
    yield { chance: counts.filter(isFrequent).length / base, wins: isFrequent(counts[digit] ?? 0) };
    counts[digit] = (counts[digit] ?? 0) + 1;
  }
}

/** Bets that two digits, and one, are followed by what followed them the last time. */
export function* repeated(digits: ArrayLike<number>, base: number): Iterable<Bet> {
  const next = new Map<number, number>();
  for (let i = 1; i < digits.length; i++) {
    const [before, last, digit] = [digits[i - 2] ?? 0, digits[i - 1] ?? 0, digits[i] ?? 0];
    const pair = base + before * base + last;
    const [afterPair, afterLast] = [next.get(pair), next.get(last)];
    const guess = afterPair ?? afterLast;
    if (guess !== undefined) {
      yield { chance: 1 / base, wins: digit === guess, about: afterPair === undefined ? 'one' : 'two' };
    }
    next.set(pair, digit).set(last, digit);
  }
}

/** Bets that the step from one digit to the next is the same as the one before it: counting. */
export function* counted(digits: ArrayLike<number>, base: number): Iterable<Bet> {
  const step = (i: number) => ((digits[i] ?? 0) - (digits[i - 1] ?? 0) + base) % base;
  for (let i = 2; i < digits.length; i++) yield { chance: 1 / base, wins: step(i) === step(i - 1) };
}
