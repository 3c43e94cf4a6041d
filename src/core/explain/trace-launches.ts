/** @module Where one launch in a log ends and another begins, also where the line is missing that says so. */
import { BootsealError } from '../errors.ts';

/** A line of one of QEMU's trace events. */
export interface TraceEvent {
  readonly name: string;
  /** Behind the name. */
  readonly text: string;
  readonly snp: boolean;
  /** Counts from 1. */
  readonly line: number;
  readonly process: string | undefined;
}

/** The order within a launch; updates come again and again, the others once (target/i386/sev.c). */
const PLACES: readonly string[] = ['start', 'update', 'measurement', 'finish'];
const UPDATES = 1;
const placeOf = ({ name }: TraceEvent) => PLACES.indexOf(name === 'update_data' ? 'update' : name);

/** The last launch in a log. */
export interface LastLaunch {
  readonly events: readonly TraceEvent[];
  /** Launches in the log. */
  readonly launches: number;
}

/**
 * Returns the last launch. What stands behind the end of one, and has no start, is another of which the start is missing. Throws
 * `format` when each line stands twice.
 */
export function lastLaunchOf(events: readonly TraceEvent[]): LastLaunch {
  if (isDoubled(events)) {
    throw new BootsealError('format', 'the log has each of QEMU’s lines twice', {
      hint: 'each line stands twice, as when two loggers write into one file: give what one of them wrote',
    });
  }
  const firsts = [...events.keys()].filter((i) => isFirst(events[i - 1], events[i]));
  return { events: events.slice(firsts.at(-1) ?? 0), launches: Math.max(1, firsts.length) };
}

function isFirst(before: TraceEvent | undefined, event: TraceEvent | undefined): boolean {
  if (before === undefined || event === undefined || isOther(before, event)) return true;
  const [last, place] = [placeOf(before), placeOf(event)];
  return place < last || (place === last && place !== UPDATES);
}

/** Whether two lines are of two programs: QEMU is started anew for each launch, and logs of libvirt have all of a guest. */
const isOther = (one: TraceEvent, other: TraceEvent) =>
  one.process !== undefined && other.process !== undefined && one.process !== other.process;

/** Whether the events are pairs of the same; regions alone may be, which KVM takes in turns, and VMSAs. */
function isDoubled(events: readonly TraceEvent[]): boolean {
  const pairs = Math.floor(events.length / 2);
  const isPair = (pair: number) => isSame(events[2 * pair], events[2 * pair + 1]);
  const has = (isOf: (place: number) => boolean) => events.some((event, i) => isOf(placeOf(event)) && i < 2 * pairs);
  return (
    // Two starts alone are two launches that have failed at once.
    has((place) => place === UPDATES) &&
    has((place) => place !== UPDATES) &&
    Array.from({ length: pairs }, (_, pair) => pair).every(isPair)
  );
}

const isSame = (one: TraceEvent | undefined, other: TraceEvent | undefined) =>
  one?.name === other?.name && one?.text === other?.text && one?.snp === other?.snp;
