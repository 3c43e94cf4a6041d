/** @module The events of two plans of TDX guests, register by register. */
import { align, type Pair } from '../rtmr/align.ts';
import { PREDICTED_RTMRS, type Rtmr } from '../rtmr/events.ts';
import type { Difference } from './difference.ts';
import type { TdxBoot, TdxEvent } from './tdx-account.ts';

/** What was found of them. */
export interface EventComparison {
  readonly differences: readonly Difference[];
  /** Events that were not compared, because a plan does not predict them. */
  readonly unpredicted: readonly TdxEvent[];
}

/** Compares what both predict. */
export function compareEvents(expected: TdxBoot, found: TdxBoot): EventComparison {
  const registers = PREDICTED_RTMRS.map((rtmr) => compareRegister(rtmr, expected, found));
  return {
    differences: registers.flatMap(({ differences }) => differences),
    unpredicted: registers.flatMap(({ unpredicted }) => unpredicted),
  };
}

/** A register's value is told of by its events: it is a difference of its own only where they are alike. */
function compareRegister(rtmr: Rtmr, expected: TdxBoot, found: TdxBoot): EventComparison {
  const of = ({ events }: TdxBoot) => events.filter((event) => event.rtmr === rtmr);
  const [own, others] = [of(expected), of(found)];
  const pairs = align(own, others, weightOf);
  const isTold = toldBy(own, others);
  const unpredicted = pairs.filter((pair) => !isTold(pair)).flatMap(([one, other]) => one ?? other ?? []);
  const differences = pairs.filter(isTold).flatMap(differenceOf);
  const [value, otherValue] = [expected.rtmrs[rtmr], found.rtmrs[rtmr]];
  const isOther = value !== undefined && otherValue !== undefined && value !== otherValue;
  return {
    differences:
      differences.length > 0 || !isOther
        ? differences
        : [{ kind: 'rtmr', name: 'value', rtmr, expected: value, found: otherValue }],
    unpredicted,
  };
}

/** Names tell events of one type apart; separators have one name. */
function weightOf(one: TdxEvent, other: TdxEvent): number {
  if (one.type !== other.type || one.name !== other.name) return 0;
  return one.digest !== undefined && one.digest === other.digest ? 3 : 2;
}

/** An event without a digest may stand for several of its type, such as all items of fw_cfg: then one that is alone is none that differs. */
function toldBy(expected: readonly TdxEvent[], found: readonly TdxEvent[]) {
  const openTypes = (events: readonly TdxEvent[]) =>
    new Set(events.filter(({ digest }) => digest === undefined).map(({ type }) => type));
  const [open, otherOpen] = [openTypes(expected), openTypes(found)];
  return ([one, other]: Pair<TdxEvent, TdxEvent>): boolean => {
    if ([one, other].some((event) => event !== undefined && event.digest === undefined)) return false;
    if (one === undefined) return !open.has(other?.type ?? '');
    return other !== undefined || !otherOpen.has(one.type);
  };
}

function differenceOf([one, other]: Pair<TdxEvent, TdxEvent>): readonly Difference[] {
  const event = one ?? other;
  if (event === undefined || one?.digest === other?.digest) return [];
  const kind = other === undefined ? 'event-missing' : one === undefined ? 'event-added' : 'event-digest';
  return [{ kind, name: event.name, rtmr: event.rtmr, expected: one?.digest, found: other?.digest }];
}
