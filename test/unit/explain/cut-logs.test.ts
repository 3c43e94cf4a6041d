/** What logs that lack a part, or have several launches run together, are not explained by. */
import { describe, expect, it } from 'vitest';
import { parseTraceLog } from '../../../src/core/explain/trace-log.ts';
import { accountWith, explained, traceOf } from '../../explain-launches.ts';

const FINISH = /^kvm_sev_(?:snp_)?launch_finish.*\n/m;
const lines = (text: string, from: number, to?: number) => text.split('\n').slice(from, to).join('\n');
const bare = (text: string) => text.replace(/gpa 0x[0-9a-f]+ /g, '');

describe.each(['sev', 'sev-es', 'snp'] as const)('a log of a %s launch as expected', (platform) => {
  const own = accountWith({ platform });
  const text = traceOf(own);
  const count = text.split('\n').length;

  it('differs in nothing, wherever it is cut', () => {
    for (const log of [text, bare(text)]) {
      for (let from = 0; from < count - 1; from++) {
        for (let to = from + 1; to < count; to++) {
          const { account } = parseTraceLog(lines(log, from, to));
          expect(account.cut === undefined, `${from} ${to}`).toBe(from === 0 && to === count - 1);
          expect(explained(own, account), `${from} ${to}`).toMatchObject({ differences: [], first: undefined });
        }
      }
    }
  });

  it('differs in nothing behind another one of which the start is missing', () => {
    const { account, launches } = parseTraceLog(`${text}${lines(text, 1)}`);
    expect([account.cut, launches]).toEqual(['start', 2]);
    expect(explained(own, account).differences).toEqual([]);
  });
});

describe('a log that is cut', () => {
  it('shows where a step more than expected stands', () => {
    const own = accountWith();
    const added = 'kvm_sev_snp_launch_update src 0x7f gpa 0x900000 len 0x1000 (Normal page)\n';
    const { account } = parseTraceLog(traceOf(own).replace(FINISH, added));
    const { first, names } = explained(own, account);
    expect(names).toEqual(['host-contents']);
    expect(first).toMatchObject({ step: own.steps?.length, expected: undefined, found: { gpa: 0x900000n } });
  });

  it('has at least the vCPUs that it shows', () => {
    const vmsa = 'kvm_sev_snp_launch_update src 0x7f00 gpa 0xfffffffff000 len 0x1000 (Vmsa page)\n';
    const names = (vcpus: number, end: string) => {
      const log = traceOf(accountWith()).replace(FINISH, `${vmsa.repeat(2)}${end}`);
      return explained(accountWith({ vcpus: [vcpus] }), parseTraceLog(log).account).names;
    };
    expect([names(3, ''), names(2, ''), names(1, '')]).toEqual([[], [], ['vcpus']]);
    expect(names(3, '$&')).toEqual(['vcpus']);
  });
});
