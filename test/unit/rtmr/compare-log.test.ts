import { describe, expect, it } from 'vitest';
import { type CcelEvent, parseCcel } from '../../../src/core/attestation/ccel.ts';
import { causeOf } from '../../../src/core/rtmr/causes.ts';
import {
  agreesWithPrediction,
  compareLog,
  type LogComparison,
  unknownRegisters,
} from '../../../src/core/rtmr/compare-log.ts';
import type { PredictedEvent, Rtmr } from '../../../src/core/rtmr/events.ts';
import { fixture } from '../../fixtures.ts';

const digest = (value: number) => new Uint8Array(48).fill(value);
const logged = (rtmr: number | undefined, type: number, value: number): CcelEvent => ({
  rtmr,
  type,
  digest: digest(value),
  data: new Uint8Array(),
});
const known = (rtmr: Rtmr, type: number, value: number, name = `${value}`): PredictedEvent => ({
  rtmr,
  type,
  name,
  digest: digest(value),
  missing: undefined,
});
const unknown = (rtmr: Rtmr, type: number, name: string): PredictedEvent => ({
  rtmr,
  type,
  name,
  digest: undefined,
  missing: 'it is not given',
});
const verdicts = ({ events, absent }: LogComparison) => ({
  events: events.map(({ verdict, prediction }) => [verdict, prediction?.name]),
  absent: absent.map(({ name }) => name),
});

describe('a log against what was predicted', () => {
  it('agrees where all digests are equal, whatever the registers in between', () => {
    const comparison = compareLog(
      [logged(0, 1, 1), logged(1, 2, 2), logged(0, 3, 3)],
      [known(0, 1, 1), known(0, 3, 3), known(1, 2, 2)],
    );
    expect(verdicts(comparison)).toEqual({
      events: [
        ['predicted', '1'],
        ['predicted', '2'],
        ['predicted', '3'],
      ],
      absent: [],
    });
    expect([agreesWithPrediction(comparison), unknownRegisters(comparison)]).toEqual([true, []]);
  });

  it('names the one event that differs, by its place', () => {
    const comparison = compareLog(
      [logged(0, 1, 1), logged(0, 10, 9), logged(0, 10, 3)],
      [known(0, 1, 1), known(0, 10, 2), known(0, 10, 3)],
    );
    expect(verdicts(comparison)).toEqual({
      events: [
        ['predicted', '1'],
        ['differs', '2'],
        ['predicted', '3'],
      ],
      absent: [],
    });
    expect(agreesWithPrediction(comparison)).toBe(false);
  });

  it('names what is too much and what is not there', () => {
    const comparison = compareLog(
      [logged(0, 1, 1), logged(0, 7, 8), logged(0, 4, 5)],
      [known(0, 1, 1), known(0, 4, 5), known(0, 6, 6)],
    );
    expect(verdicts(comparison)).toEqual({
      events: [
        ['predicted', '1'],
        ['extra', undefined],
        ['predicted', '5'],
      ],
      absent: ['6'],
    });
    expect(agreesWithPrediction(comparison)).toBe(false);
    expect(agreesWithPrediction(compareLog([], [known(0, 1, 1)]))).toBe(false);
    expect(agreesWithPrediction(compareLog([logged(2, 1, 1)], []))).toBe(false);
  });

  it('believes a digest, and not what the log calls it', () => {
    expect(verdicts(compareLog([logged(0, 99, 1)], [known(0, 1, 1)])).events).toEqual([['predicted', '1']]);
    expect(verdicts(compareLog([logged(0, 4, 2)], [known(0, 1, 1)]))).toEqual({
      events: [['extra', undefined]],
      absent: ['1'],
    });
  });

  it('does not take an event of another register, or in another order, for the same', () => {
    expect(verdicts(compareLog([logged(1, 1, 1)], [known(0, 1, 1)]))).toEqual({
      events: [['extra', undefined]],
      absent: ['1'],
    });
    const swapped = compareLog([logged(0, 1, 2), logged(0, 3, 1)], [known(0, 3, 1), known(0, 1, 2)]);
    expect(agreesWithPrediction(swapped)).toBe(false);
  });

  it('says of what is not known that it is not, and of nothing in its register that it is too much', () => {
    const comparison = compareLog(
      [logged(0, 1, 1), logged(0, 10, 2), logged(0, 10, 3), logged(0, 4, 4), logged(1, 5, 5)],
      [known(0, 1, 1), unknown(0, 10, 'tables'), known(0, 4, 4), unknown(0, 11, 'more'), known(1, 5, 5)],
    );
    expect(verdicts(comparison).absent).toEqual(['more']);
    expect(verdicts(comparison).events.map(([verdict]) => verdict)).toEqual([
      'predicted',
      'unknown',
      'unknown',
      'predicted',
      'predicted',
    ]);
    expect([agreesWithPrediction(comparison), unknownRegisters(comparison)]).toEqual([true, [0]]);
  });

  it('still finds what differs, and what is not there, in such a register', () => {
    const comparison = compareLog(
      [logged(0, 1, 9), logged(0, 10, 2)],
      [known(0, 1, 1), unknown(0, 10, 'tables'), known(0, 4, 4)],
    );
    expect(verdicts(comparison)).toEqual({
      events: [
        ['differs', '1'],
        ['unknown', 'tables'],
      ],
      absent: ['4'],
    });
    expect(agreesWithPrediction(comparison)).toBe(false);
  });

  it('names what the log lacks also where its digest is not known, which is no mismatch and proves nothing', () => {
    const comparison = compareLog(
      [logged(0, 4, 4)],
      [unknown(0, 11, 'list'), known(0, 4, 4), unknown(0, 10, 'tables')],
    );
    expect(verdicts(comparison)).toEqual({ events: [['predicted', '4']], absent: ['list', 'tables'] });
    expect([agreesWithPrediction(comparison), unknownRegisters(comparison)]).toEqual([true, [0]]);
    const both = compareLog([], [unknown(0, 11, 'list'), known(1, 4, 4)]);
    expect([agreesWithPrediction(both), unknownRegisters(both)]).toEqual([false, [0]]);
  });

  it("knows nothing of the guest's own register, and of what extends none", () => {
    const comparison = compareLog([logged(3, 1, 1), logged(undefined, 3, 0)], []);
    expect(verdicts(comparison).events).toEqual([
      ['unknown', undefined],
      ['unknown', undefined],
    ]);
    expect([agreesWithPrediction(comparison), unknownRegisters(comparison)]).toEqual([true, []]);
  });

  it('shows what moved between two registers in a newer firmware', () => {
    const log = parseCcel(fixture('trustee/CCEL_data_ovmf'));
    const as = (moved: Rtmr) =>
      log.map(
        (event, i): PredictedEvent => ({
          ...event,
          rtmr: i === 15 ? moved : ((event.rtmr ?? 0) as Rtmr),
          name: `${i + 1}`,
          missing: undefined,
        }),
      );
    expect(agreesWithPrediction(compareLog(log, as(0)))).toBe(true);
    const { events, absent } = compareLog(log, as(1));
    expect(events.flatMap(({ verdict }, i) => (verdict === 'predicted' ? [] : [[i + 1, verdict]]))).toEqual([
      [16, 'extra'],
    ]);
    expect(absent.map(({ rtmr, name }) => [rtmr, name])).toEqual([[1, '16']]);
  });
});

describe('a cause', () => {
  it('is named for each kind of event', () => {
    expect(causeOf(known(1, 0x80000003, 1, 'kernel'))).toMatch(/another kernel, or another --kernel-header/);
    expect(causeOf(known(0, 0x8000000b, 1, 'TD HOB'))).toMatch(/size of memory/);
    expect(causeOf(known(2, 6, 1, 'load options'))).toMatch(/command line/);
    expect(causeOf(known(2, 6, 1, 'initrd'))).toMatch(/initrd/);
    expect(causeOf(known(0, 77, 1))).toMatch(/another host/);
  });
});
