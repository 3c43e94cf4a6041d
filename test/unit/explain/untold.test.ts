import { describe, expect, it } from 'vitest';
import { explanationJson, explanationLines } from '../../../src/cli/explain-text.ts';
import { explainLaunch } from '../../../src/core/explain/explain.ts';
import { parseVmsaDump } from '../../../src/core/explain/vmsa-dump.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { accountWith, dmesgOf } from '../../explain-launches.ts';

const [own, old] = ['qemu', 'qemu-legacy'].map((name) => accountWith({ profile: findProfile(name) })) as [
  ReturnType<typeof accountWith>,
  ReturnType<typeof accountWith>,
];
const dump = ({ vmsas }: typeof own, size: number) =>
  parseVmsaDump(Buffer.from(dmesgOf(vmsas?.pages ?? [], size))).account;

describe('what a dump of vCPUs does not tell', () => {
  it('is listed where kernels print less than the floating-point state, in which profiles differ', () => {
    const explanation = explainLaunch(own, dump(old, 0x408));
    expect(explanation).toMatchObject({ differences: [], causes: [] });
    expect(explanation.untold).toEqual(['memory', 'contents', 'kernel-hashes', 'vmsa-fields']);
    const fields = ['mxcsr', 'x87_ftw', 'x87_fsw', 'x87_fcw', 'x87_fop', 'x87_ds', 'x87_cs', 'x87_rip'];
    const all = [...fields, 'fpreg_x87', 'fpreg_xmm', 'fpreg_ymm'];
    expect(explanation.untoldFields).toEqual(all);
    expect(explanationJson(explanation)).toMatchObject({ untold: explanation.untold, untoldFields: all });
    expect(explanationLines(explanation)).toContain(
      `not told   fields behind what the dump has of each VMSA: ${all.join(', ')}`,
    );
  });

  it('is nothing where whole pages were found, or all but the reserved bytes at their end', () => {
    for (const found of [dump(own, 0x670), parseVmsaDump(Buffer.concat(own.vmsas?.pages ?? [])).account, own]) {
      const { untold, untoldFields } = explainLaunch(own, found);
      expect(untold).not.toContain('vmsa-fields');
      expect(untoldFields).toEqual([]);
    }
    // Nothing at all of the CPU state.
    const bare = explainLaunch(own, { ...own, vmsas: undefined });
    expect([bare.untold, bare.untoldFields]).toEqual([['cpu-state'], []]);
  });
});
