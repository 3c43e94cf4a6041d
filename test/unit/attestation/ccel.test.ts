import { describe, expect, it } from 'vitest';
import { MAX_CCEL_BYTES, parseCcel } from '../../../src/core/attestation/ccel.ts';
import { eventName } from '../../../src/core/attestation/event-names.ts';
import { checkCcel, replayCcel } from '../../../src/core/attestation/replay-ccel.ts';
import { parseTdxQuote } from '../../../src/core/attestation/tdx-quote.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { ccelEvent, ccelHeader } from '../../ccel-log.ts';
import { failure } from '../../failure.ts';
import { join, u16, u32 } from '../../firmware-image.ts';
import { fixture } from '../../fixtures.ts';

const log = fixture('go-tdx-guest/ccel_data.dat');
const quote = parseTdxQuote(fixture('go-tdx-guest/cos-113-tdx-quote.dat'));
const HINT = 'give the log itself, /sys/firmware/acpi/tables/data/CCEL of the guest, not the table of that name';

describe('the log of a real guest', () => {
  const events = parseCcel(log);

  it('has its events', () => {
    expect(events).toHaveLength(43);
    expect([0, 1, 2, 3].map((rtmr) => events.filter((event) => event.rtmr === rtmr).length)).toEqual([16, 7, 20, 0]);
    expect(eventName(events[0]?.type ?? 0)).toBe('EV_EFI_HANDOFF_TABLES2');
    expect(Buffer.from(events[42]?.data ?? []).toString()).toBe('Exit Boot Services Returned with Success');
  });

  it('gives the RTMRs of its quote', () => {
    expect(replayCcel(events, nodeHashes).map(bytesToHex)).toEqual(quote.rtmrs.map(bytesToHex));
    expect(() => checkCcel(events, quote, nodeHashes)).not.toThrow();
  });

  it('gives another value when any digest is changed, and that RTMR is named', () => {
    for (const [i, event] of events.entries()) {
      const digest = event.digest.slice();
      digest[47] = (digest[47] ?? 0) ^ 1;
      const changed = events.with(i, { ...event, digest });
      expect(failure(() => checkCcel(changed, quote, nodeHashes))).toEqual({
        kind: 'mismatch',
        message: expect.stringMatching(
          new RegExp(`^RTMR${event.rtmr}: the quote has [0-9a-f]{96}, the log replays to [0-9a-f]{96}$`),
        ),
        hint: expect.stringContaining('the log was changed'),
      });
    }
  });

  it('is not that of its quote when events are left out, moved or added', () => {
    const check = (changed: typeof events) => failure(() => checkCcel(changed, quote, nodeHashes));
    expect(check(events.slice(1)).message).toMatch(/^RTMR0: /);
    expect(check(events.slice(0, -1)).message).toMatch(/^RTMR1: /);
    expect(check(events.toSpliced(33, 2, ...events.slice(33, 35).reverse())).message).toMatch(/^RTMR2: /);
    const more = { ...events[0], rtmr: 3 } as (typeof events)[number];
    expect(check([...events, more])).toEqual({
      kind: 'mismatch',
      message: expect.stringMatching(/^RTMR3: .*; the log had the value of the quote before its first event$/),
      hint: expect.stringMatching(/^event 44 and what follows was not extended/),
    });
    expect(check([...events, { ...more, rtmr: 1 }])).toEqual({
      kind: 'mismatch',
      message: expect.stringMatching(/^RTMR1: .*; the log had the value of the quote after event 43$/),
      hint: expect.stringMatching(/^event 44 and/),
    });
    const without = events.filter(({ rtmr }) => rtmr !== 2);
    expect(check(without).message).toMatch(/^RTMR2: .* without any event$/);
  });

  it('may leave out what software has extended into RTMR3, and says that it does', () => {
    const value = new Uint8Array(48).fill(1);
    const extended = { ...quote, rtmrs: quote.rtmrs.with(3, value) };
    expect(checkCcel(events, quote, nodeHashes)).toEqual([]);
    expect(checkCcel(events, extended, nodeHashes)).toEqual([3]);
    // Not where it tells of some of it, nor of the other registers.
    const more = { ...events[0], rtmr: 3 } as (typeof events)[number];
    expect(failure(() => checkCcel([...events, more], extended, nodeHashes))).toMatchObject({
      kind: 'mismatch',
      message: expect.stringMatching(/^RTMR3: the quote has (01){48}, the log replays to [0-9a-f]{96}$/),
    });
    for (const rtmr of [0, 1, 2]) {
      const other = { ...extended, rtmrs: extended.rtmrs.with(rtmr, value) };
      expect(failure(() => checkCcel(events, other, nodeHashes)).message).toMatch(new RegExp(`^RTMR${rtmr}: `));
    }
  });

  it('is held against some of the registers alone', () => {
    const more = { ...events[0], rtmr: 3 } as (typeof events)[number];
    expect(checkCcel([...events, more], quote, nodeHashes, [0, 1, 2])).toEqual([]);
    expect(failure(() => checkCcel([...events, more], quote, nodeHashes, [3])).message).toMatch(/^RTMR3: /);
  });

  it('is read to its end, whatever fills it', () => {
    const end = log.indexOf(0xff, 0x46b5);
    expect(end).toBe(0x46b5);
    for (const rest of [0, 1, 8, 100]) {
      for (const byte of [0, 0xff]) {
        expect(parseCcel(join(log.subarray(0, end), new Uint8Array(rest).fill(byte)))).toEqual(events);
      }
    }
    const behind = join(log.subarray(0, end), new Uint8Array(20).fill(0xff), u32(1));
    expect(failure(() => parseCcel(behind))).toEqual({
      kind: 'format',
      message: 'CCEL: behind the filling at byte 18101 there is something else',
      hint: HINT,
    });
  });

  it('is refused when it is cut inside an event', () => {
    let whole = 0;
    for (let cut = 65; cut < 3000; cut++) {
      try {
        const found = parseCcel(log.subarray(0, cut));
        whole++;
        expect(found).toEqual(events.slice(0, found.length));
      } catch (error) {
        expect(error).toMatchObject({
          kind: 'format',
          message: expect.stringMatching(/^CCEL event \d+ at byte \d+: the log ends in it$/),
        });
      }
    }
    // It is whole where one of the six events starts.
    expect(whole).toBe(6);
  });
});

describe('a log', () => {
  const digest = new Uint8Array(48).fill(7);
  const event = ccelEvent(1, 5, [[12, digest]], Uint8Array.of(1, 2, 3));
  const header = ccelHeader([[12, 48]]);

  it('may have other algorithms besides SHA-384', () => {
    const both = join(
      ccelHeader([
        [11, 32],
        [12, 48],
      ]),
      ccelEvent(4, 0x12, [
        [11, new Uint8Array(32)],
        [12, digest],
      ]),
    );
    expect(parseCcel(both)).toEqual([{ rtmr: 3, type: 0x12, digest, data: new Uint8Array() }]);
    expect(eventName(0x12)).toBe('0x12');
  });

  it('extends nothing with EV_NO_ACTION', () => {
    const events = parseCcel(join(header, ccelEvent(0, 3, [[12, digest]]), event));
    expect(events.map(({ rtmr }) => rtmr)).toEqual([undefined, 0]);
    expect(replayCcel(events, nodeHashes)).toEqual(replayCcel(events.slice(1), nodeHashes));
  });

  it.each<[string, Uint8Array, string]>([
    ['empty', new Uint8Array(), 'CCEL header: needs 32 bytes at 0, only 0 are there'],
    ['with another first event', ccelHeader([[12, 48]], 4), 'CCEL header: the log does not begin with a Spec ID event'],
    ['whose header is cut', header.subarray(0, 50), 'CCEL header: its 33 bytes are not all there'],
    ['of another form', ccelHeader([[12, 48]], 3, 'Spec ID Event02'), 'CCEL header.signature: wrong magic number'],
    ['without SHA-384', ccelHeader([[11, 32]]), 'CCEL header: the log has no SHA-384, so it is of no TDX guest'],
    ['with a short SHA-384', ccelHeader([[12, 32]]), 'CCEL header: the log has no SHA-384, so it is of no TDX guest'],
    [
      'of too many algorithms',
      ccelHeader(Array.from({ length: 17 }, () => [12, 48])),
      'CCEL header: 17 algorithms are more than there are',
    ],
    [
      'with an event of MRTD',
      join(header, ccelEvent(0, 5, [[12, digest]])),
      'CCEL event 1 at byte 65: register 0 is no RTMR (1 to 4)',
    ],
    [
      'with a register too high',
      join(header, event, ccelEvent(5, 5, [[12, digest]])),
      'CCEL event 2 at byte 134: register 5 is no RTMR (1 to 4)',
    ],
    [
      'with an unknown algorithm',
      join(header, ccelEvent(1, 5, [[11, new Uint8Array(32)]])),
      'CCEL event 1 at byte 65: algorithm 0xb is not among those of the log',
    ],
    ['without a digest', join(header, ccelEvent(1, 5, [])), 'CCEL event 1 at byte 65: it has no SHA-384'],
    [
      'with too many digests',
      join(header, u32(1), u32(5), u32(0xffffffff)),
      'CCEL event 1 at byte 65: it has 4294967295 digests, the log has 1 algorithms',
    ],
    [
      'with an endless event',
      join(header, u32(1), u32(5), u32(1), u16(12), digest, u32(0xffffffff)),
      'CCEL event 1 at byte 65: the log ends in it',
    ],
    ['too large', new Uint8Array(MAX_CCEL_BYTES + 1), 'the log has 16777217 bytes, more than 16777216'],
  ])('%s is refused', (_what, bytes, message) => {
    expect(failure(() => parseCcel(bytes))).toMatchObject({ kind: 'format', message });
  });

  it('with two SHA-384 in one event is refused', () => {
    const two = join(
      ccelHeader([
        [11, 32],
        [12, 48],
      ]),
      ccelEvent(1, 5, [
        [12, digest],
        [12, digest],
      ]),
    );
    expect(failure(() => parseCcel(two)).message).toContain('it has two of SHA-384');
  });

  it('has at most 65536 events', () => {
    const most = join(header, ...Array.from({ length: 65536 }, () => event));
    expect(parseCcel(most)).toHaveLength(65536);
    expect(failure(() => parseCcel(join(most, event))).message).toBe('the log has more than 65536 events');
  });
});
