/**
 * @module The event log of a TDX guest, which its CCEL table points to: what was extended into the RTMRs, in the crypto-agile form of
 * TCG's logs (TCG PC Client Platform Firmware Profile, 10.2; UEFI 2.10, 38.4.1: register 1 is RTMR0, 4 is RTMR3).
 */
import { layout, magic, reserved, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

/** One event of the log. */
export interface CcelEvent {
  /** 0 to 3; absent for what is only said (EV_NO_ACTION), not extended. */
  readonly rtmr: number | undefined;
  readonly type: number;
  /** The SHA-384 that was extended, 48 bytes. */
  readonly digest: Uint8Array;
  /** What the log says about it. Nothing binds that to the digest but, for some types, being what was hashed. */
  readonly data: Uint8Array;
}

/** The largest log that is read, bytes: firmware reserves 64 KiB to 256 KiB. */
export const MAX_CCEL_BYTES: number = 2 ** 24;

/** Real logs have some dozens. */
const MOST_EVENTS = 2 ** 16;

/** SHA-256, 384, 512 and SM3 in all widths would be fewer. */
const MOST_ALGORITHMS = 16;

const EV_NO_ACTION = 3;
const SHA384 = { id: 0x000c, size: 48 } as const;

const First = layout('CCEL header', { register: u32le, type: u32le, digest: reserved(20), size: u32le });
const SpecId = layout('CCEL header', {
  signature: magic(Uint8Array.from('Spec ID Event03\0', (letter) => letter.charCodeAt(0))),
  version: reserved(8),
  algorithms: u32le,
});
const Algorithm = layout('CCEL algorithm', { id: u16le, size: u16le });
const Head = layout('CCEL event', { register: u32le, type: u32le, digests: u32le });

/**
 * Reads a log as /sys/firmware/acpi/tables/data/CCEL has it: what is behind the last event is filled with zeros or ones. Throws
 * `format`, naming the event, for anything that is not such a log with SHA-384.
 */
export function parseCcel(log: Uint8Array): readonly CcelEvent[] {
  if (log.length > MAX_CCEL_BYTES) throw refusal(`the log has ${log.length} bytes, more than ${MAX_CCEL_BYTES}`);
  const { sizes, end } = readFirst(log);
  const events: CcelEvent[] = [];
  let at = end;
  while (!isFilling(log, at)) {
    if (events.length === MOST_EVENTS) throw refusal(`the log has more than ${MOST_EVENTS} events`);
    const read = readEvent(log, at, sizes, `CCEL event ${events.length + 1} at byte ${at}`);
    events.push(read.event);
    at = read.end;
  }
  return events;
}

/** Bytes of a digest by algorithm. */
type Sizes = ReadonlyMap<number, number>;

function readFirst(log: Uint8Array): { readonly sizes: Sizes; readonly end: number } {
  const { type, size } = First.unpack(log);
  if (type !== EV_NO_ACTION) throw refusal('CCEL header: the log does not begin with a Spec ID event');
  const end = First.size + size;
  if (end > log.length) throw refusal(`CCEL header: its ${size} bytes are not all there`);
  const body = log.subarray(First.size, end);
  const { algorithms } = SpecId.unpack(body);
  if (algorithms > MOST_ALGORITHMS) throw refusal(`CCEL header: ${algorithms} algorithms are more than there are`);
  const sizes = new Map<number, number>();
  for (let i = 0; i < algorithms; i++) {
    const algorithm = Algorithm.unpack(body, SpecId.size + i * Algorithm.size);
    sizes.set(algorithm.id, algorithm.size);
  }
  if (sizes.get(SHA384.id) !== SHA384.size)
    throw refusal('CCEL header: the log has no SHA-384, so it is of no TDX guest');
  return { sizes, end };
}

function readEvent(
  log: Uint8Array,
  start: number,
  sizes: Sizes,
  where: string,
): { readonly event: CcelEvent; readonly end: number } {
  const need = (at: number, size: number) => {
    if (log.length - at < size) throw refusal(`${where}: the log ends in it`);
  };
  need(start, Head.size);
  const { register, type, digests } = Head.unpack(log, start);
  if (digests > sizes.size) throw refusal(`${where}: it has ${digests} digests, the log has ${sizes.size} algorithms`);
  let at = start + Head.size;
  let digest: Uint8Array | undefined;
  for (let i = 0; i < digests; i++) {
    need(at, u16le.size);
    const id = u16le.decode(log, at, where);
    const size = sizes.get(id);
    if (size === undefined) throw refusal(`${where}: algorithm 0x${id.toString(16)} is not among those of the log`);
    at += u16le.size;
    need(at, size);
    if (id === SHA384.id) {
      if (digest !== undefined) throw refusal(`${where}: it has two of SHA-384`);
      digest = new Uint8Array(log.subarray(at, at + size));
    }
    at += size;
  }
  if (digest === undefined) throw refusal(`${where}: it has no SHA-384`);
  need(at, u32le.size);
  const size = u32le.decode(log, at, where);
  at += u32le.size;
  need(at, size);
  const data = new Uint8Array(log.subarray(at, at + size));
  return { event: { rtmr: rtmrOf(register, type, where), type, digest, data }, end: at + size };
}

function rtmrOf(register: number, type: number, where: string): number | undefined {
  if (type === EV_NO_ACTION) return undefined;
  if (register >= 1 && register <= 4) return register - 1;
  throw refusal(`${where}: register ${register} is no RTMR (1 to 4)`);
}

/** Fewer bytes cannot be an event, and no event begins with as many zeros or ones: that is no register. */
const MARK = u32le.size + u32le.size;

function isFilling(log: Uint8Array, at: number): boolean {
  const filling = log[at];
  if (filling === undefined) return true;
  if (filling !== 0 && filling !== 0xff) return false;
  const rest = log.subarray(at);
  if (!rest.subarray(0, MARK).every((byte) => byte === filling)) return false;
  if (rest.every((byte) => byte === filling)) return true;
  throw refusal(`CCEL: behind the filling at byte ${at} there is something else`);
}

function refusal(message: string): BootsealError {
  return new BootsealError('format', message, {
    hint: 'give the log itself, /sys/firmware/acpi/tables/data/CCEL of the guest, not the table of that name',
  });
}
