import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/core/bytes.ts';
import type { Hashes, RunningHash } from '../../../src/core/hash.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { type IgvmFile, parseIgvm } from '../../../src/core/igvm/file.ts';
import { measureIgvm } from '../../../src/core/measurement/igvm.ts';
import type { IgvmLoader, IgvmPlatformName } from '../../../src/core/measurement/igvm-loaders.ts';
import { SnpDigest } from '../../../src/core/measurement/snp.ts';
import { Vmsa } from '../../../src/core/measurement/vmsa.ts';
import { VMSA_FIELDS } from '../../../src/core/measurement/vmsa-fields.ts';
import { nobleHashes } from '../../../src/core/noble-hashes.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';
import {
  type DirectiveRecipe,
  headersOf,
  type IgvmRecipe,
  igvmImage,
  igvmOf,
  pageOf,
  type RawHeader,
} from '../../igvm-image.ts';

interface Vector extends IgvmRecipe {
  readonly name: string;
  readonly sha256: string;
  readonly digests: Readonly<Record<string, Readonly<Record<string, string | null>>>>;
}

const { files } = vectors<{ readonly files: readonly Vector[] }>('igvm.json');
const FPU_RESET = 'qemu, FPU as at reset';
const measured = files.flatMap((vector) =>
  Object.entries(vector.digests).flatMap(([platform, ways]) =>
    Object.entries(ways).map(([way, digest]) => ({ vector, platform: platform as IgvmPlatformName, way, digest })),
  ),
);

const file = (recipe: IgvmRecipe) => parseIgvm(igvmImage(recipe));
const named = (name: string) => {
  const found = files.find((one) => one.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};
const PLAIN = { kind: 'page', gpa: '0x1000', mask: 1, flags: 0, type: 0, data: 1 } as const;
const POLICIES = [{ policy: '0x30000', mask: 1 }];
const measure = (name: string, over: Partial<Parameters<typeof measureIgvm>[0]> = {}) =>
  measureIgvm({ file: file(named(name)), ...over }, nobleHashes);

describe('an IGVM file', () => {
  it.each(files)('is the same from both builders: $name', (vector) => {
    expect(createHash('sha256').update(igvmImage(vector)).digest('hex')).toBe(vector.sha256);
  });

  it.each(measured)(
    'has the digest that $way gives it on $platform: $vector.name',
    ({ vector, platform, way, digest }) => {
      const request = {
        file: file(vector),
        platform,
        loader: (way === 'native-zero' ? 'coconut' : way === FPU_RESET ? 'qemu' : way) as IgvmLoader,
        nativeZero: way === 'native-zero',
      };
      if (digest === null) {
        const { kind, message, hint } = failure(() => measureIgvm(request, nobleHashes));
        expect(kind).toBe('format');
        expect(message).toMatch(/^IGVM: (QEMU|igvmmeasure of COCONUT SVSM|microsoft\/igvm) stops at /);
        expect(hint).toContain('--as');
        return;
      }
      const result = measureIgvm(request, nobleHashes);
      const reset = way === FPU_RESET ? result.ifKvmResetsFpu : result;
      expect(reset && bytesToHex(reset.digest)).toBe(digest);
    },
  );

  it.each(measured.filter(({ digest, way }) => digest !== null && way !== FPU_RESET))(
    'has a digest for a KVM that resets the FPU exactly where that is another, as $way on $platform: $vector.name',
    ({ vector, platform, way }) => {
      const loader = (way === 'native-zero' ? 'coconut' : way) as IgvmLoader;
      const { ifKvmResetsFpu, warnings } = measureIgvm({ file: file(vector), platform, loader }, nobleHashes);
      const digest = way === 'qemu' ? vector.digests[platform]?.[FPU_RESET] : undefined;
      expect(ifKvmResetsFpu).toEqual(
        digest && { mxcsr: 0x1f80, x87Fcw: 0x37f, digest: Uint8Array.from(Buffer.from(digest, 'hex')) },
      );
      const told = warnings.filter((text) => text.includes('MXCSR'));
      expect(told).toEqual(
        digest ? [expect.stringMatching(`keeps 0x1f80 and 0x37f reports another digest, ${digest}$`)] : [],
      );
    },
  );

  it.each(files.filter(({ digests }) => digests['snp'] !== undefined))(
    'says where loaders differ, exactly when they do: $name',
    (vector) => {
      const ways = vector.digests['snp'] ?? {};
      const { qemu, coconut, microsoft } = ways;
      const loader = qemu === null ? 'microsoft' : 'qemu';
      const result = measureIgvm({ file: file(vector), platform: 'snp', loader }, nobleHashes);
      const own = loader === 'qemu' ? qemu : microsoft;
      const others = Object.entries({ qemu, coconut, microsoft })
        .filter(([, digest]) => digest !== own)
        .map(([name, digest]) => [name, digest ?? 'stops']);
      expect(
        result.others.map(({ loader: name, digest }) => [name, digest === undefined ? 'stops' : bytesToHex(digest)]),
      ).toEqual(others);
      expect(result.differences.length > 0).toBe(others.length > 0);
    },
  );
});

describe('the differences', () => {
  it.each([
    [
      'parameter area of three pages',
      ['parameter area of several pages: igvmmeasure counts the first page alone, QEMU and microsoft/igvm all'],
    ],
    [
      'parameter area behind pages',
      ['parameter area behind pages: QEMU measures it before the run of pages that it stands behind'],
    ],
    [
      'shared pages',
      ['page shared with the host: microsoft/igvm leaves it out, QEMU and igvmmeasure count it (2 of them)'],
    ],
    ['VMSA of another platform', ['VMSA for another platform of the file: igvmmeasure counts it all the same']],
    ['2 MiB of zeros', ['page of 2 MiB without data: microsoft/igvm counts 4 KiB, QEMU and igvmmeasure all']],
    [
      '2 MiB with data',
      [
        'page of 2 MiB with data: microsoft/igvm counts 4 KiB, QEMU the same 4 KiB and zeros behind them, igvmmeasure stops',
      ],
    ],
    ['no guest policy', ['no guest policy for SNP: microsoft/igvm stops, QEMU and igvmmeasure go on']],
    ['VMSA first', ['VMSA before other pages: QEMU and KVM measure it last, the others in file order']],
    [
      'VMSAs in another order',
      ['VMSAs not in the order of their vCPUs: QEMU and KVM measure them in it, the others in file order'],
    ],
    ['VMSA without SNP_ACTIVE', ['VMSA whose sev_features are those of another platform: QEMU stops'], 'microsoft'],
    [
      'VMSA with fields that QEMU does not take',
      ['VMSA with fields that QEMU cannot hand to KVM: QEMU stops'],
      'microsoft',
    ],
    [
      'VMSA with bytes behind the save area',
      ['VMSA with bytes behind its save area: QEMU and KVM leave them out, the others count them'],
    ],
    [
      'VMSA that KVM changes',
      [
        'VMSA that KVM has otherwise than the file, the others as in the file: ds.attributes 0xfc96 becomes 0xc96, ' +
          'gdtr.selector 0x8 becomes 0x0, gdtr.attributes 0x93 becomes 0x0, gdtr.limit 0xffffffff becomes 0xffff, ' +
          'idtr.attributes 0x82 becomes 0x0, tr.base 0x1000 becomes 0x0, cpl 0x0 becomes 0x3, efer 0x0 becomes 0x1000, ' +
          'cr4 0x20 becomes 0x60, cr0 0x60000001 becomes 0x11, rflags 0x0 becomes 0x2',
      ],
    ],
    ['VMSA twice', ['several VMSAs for one vCPU: QEMU takes the last, the others measure each']],
  ] as const)('are named: %s', (name, differences, loader: IgvmLoader = 'qemu') => {
    expect(measure(name, { loader }).differences).toEqual(differences);
  });

  it('are named for SEV and SEV-ES', () => {
    expect(measure('SEV: zeros and unmeasured pages').differences).toEqual([
      'page without data: QEMU hashes its zeros, igvmmeasure nothing',
      'unmeasured page with data: igvmmeasure hashes it, QEMU does not',
    ]);
    const sev = measure('SEV: a secrets page', { platform: 'sev', loader: 'coconut' });
    expect(sev.differences).toEqual([
      'secrets or cpuid page, which only SNP has: QEMU stops, igvmmeasure hashes its data',
      'VMSA for another platform of the file: igvmmeasure counts it all the same',
    ]);
    expect(sev.others).toEqual([
      { loader: 'qemu', digest: undefined, stops: 'QEMU stops at a secrets page at 0x2000, which only SNP has' },
    ]);
  });
});

describe('QEMU', () => {
  it.each([
    [
      'VMSA of any bytes',
      'a VMSA with fields that it cannot hand to KVM: vmpl0_ssp, vmpl1_ssp, vmpl2_ssp, vmpl3_ssp and 61 more',
    ],
    ['VMSA with fields that QEMU does not take', 'a VMSA with fields that it cannot hand to KVM: vmpl, cpl, star, cr2'],
    ['VMSA with a reserved byte', 'a VMSA with fields that it cannot hand to KVM: reserved_2f0'],
    ['VMSA twice, the first not as QEMU takes it', 'a VMSA with fields that it cannot hand to KVM: cpl'],
    ['VMSA without SNP_ACTIVE', 'a VMSA with sev_features 0x20: bit 0 (SNP_ACTIVE) is not set'],
    ['SEV: a VMSA with SNP_ACTIVE', 'a VMSA with sev_features 0x1: bit 0 (SNP_ACTIVE) is set, which SEV-ES has not'],
    ['VMSA at an address of Hyper-V', 'a VMSA at 0x8000: KVM has it at 0xfffffffff000'],
  ])('stops, for the others as well as for itself: %s', (name, stops) => {
    expect(failure(() => measure(name))).toMatchObject({ kind: 'format', message: `IGVM: QEMU stops at ${stops}` });
    const { others } = measure(name, { loader: 'coconut' });
    expect(others[0]).toEqual({ loader: 'qemu', digest: undefined, stops: `QEMU stops at ${stops}` });
  });

  it('hands on each field that it takes, and stops at each other one', () => {
    const { directives, ...rest } = named('VMSA with more features');
    const stopsAt = VMSA_FIELDS.filter(({ at, name }) => {
      if (name === 'sev_features') return false;
      const changed = directives.map((one) =>
        one.kind === 'vcpu' && typeof one.data !== 'number'
          ? { ...one, data: [...one.data, [at, 'a5'] as const] }
          : one,
      );
      const loaded = measureIgvm({ file: file({ ...rest, directives: changed }), loader: 'coconut' }, nobleHashes);
      return loaded.others.some(({ stops }) => stops?.includes('cannot hand to KVM: ') === true);
    }).map(({ name }) => name);
    // What struct sev_es_save_area has besides what check_vmsa_supported clears.
    expect(stopsAt).toEqual(
      (
        'vmpl0_ssp vmpl1_ssp vmpl2_ssp vmpl3_ssp u_cet reserved_0c8 vmpl cpl reserved_0cc reserved_0d8 xss dr0 dr1 dr2 dr3 ' +
        'dr0_addr_mask dr1_addr_mask dr2_addr_mask dr3_addr_mask reserved_1c0 s_cet ssp isst_addr star lstar cstar sfmask ' +
        'kernel_gs_base sysenter_cs sysenter_esp sysenter_eip cr2 reserved_248 dbgctl br_from br_to last_excp_from ' +
        'last_excp_to reserved_298 pkru tsc_aux reserved_2f0 reserved_320 reserved_380 guest_exit_info_1 guest_exit_info_2 ' +
        'guest_exit_int_info guest_nrip vintr_ctrl guest_exit_code virtual_tom tlb_id pcpu_id event_inj reserved_3f0 x87_dp ' +
        'x87_ftw x87_fsw x87_fop x87_ds x87_cs x87_rip fpreg_x87 fpreg_xmm fpreg_ymm'
      ).split(' '),
    );
  });

  it.each([
    ['LMA without paging', 'EFER 0x1500 has LMA, and CR0 0x31 and EFER are not those of long mode'],
    ['64-bit CS without long mode', 'CS is of 64 bits, and CR0 and EFER are not those of long mode'],
    ['paging without PE', 'CR0 0x80000030 has PG without PE'],
    ['NW without CD', 'CR0 0x20000031 has NW without CD'],
    ['CR3', 'CR3 0x10000000000000 is no address'],
    ['CR4', 'CR4 0x2040 has bits that no guest of it may have'],
    ['EFER', 'EFER 0x1002 has bits that no CPU has'],
    ['DR7', 'DR7 0x401 is neither 0x400 nor 0x0'],
    ['DR6', 'DR6 0x1ffff0ff0 has more than 32 bits'],
    ['XCR0', 'XCR0 0x0 is not one that a CPU takes'],
    ['PAT', 'PAT 0x7040600070402 has memory types that there are not'],
  ])('stops where KVM refuses the state, and says why: %s', (name, why) => {
    expect(failure(() => measure(`VMSA that KVM refuses: ${name}`))).toMatchObject({
      kind: 'format',
      message: `IGVM: QEMU stops at a VMSA that KVM refuses: ${why}`,
    });
    const { differences, others } = measure(`VMSA that KVM refuses: ${name}`, { loader: 'microsoft' });
    expect(differences).toEqual(['VMSA that KVM refuses: QEMU stops, the others count it']);
    expect(others).toMatchObject([{ loader: 'qemu', digest: undefined }]);
  });

  it('returns the VMSAs that KVM measures, with the features of vCPU 0', () => {
    const features = measure('VMSAs with other features').vmsas.map((page) => Vmsa.unpack(page).sev_features);
    expect(features).toEqual([0x21n, 0x21n]);
  });

  it.each([
    [
      'VMSA that KVM changes',
      [],
      ['QEMU gives TR the base of LDTR, 0x0 for 0x1000: where it is mended the host reports another digest'],
    ],
    ['VMSA that KVM changes', [[0x98, '0000']], []],
    [
      'VMSA with more features',
      [[0x408, '0000']],
      [
        expect.stringMatching(
          /^the VMSA has MXCSR 0x0 and x87 control word 0x37f: a host whose KVM keeps 0x1f80 and 0x37f reports another digest, [0-9a-f]{96}$/,
        ),
      ],
    ],
    [
      'VMSA with more features',
      [[0x148, '40083000']],
      [
        'the VMSA has CR4 0x300840: QEMU drops UMIP, SMAP where the CPU model of the guest has them not, and the host reports another digest',
      ],
    ],
  ] as const)('warns of what no file says: %s %s', (name, bytes, warnings) => {
    const { directives, ...rest } = named(name);
    const changed = directives.map((one) =>
      one.kind === 'vcpu' && typeof one.data !== 'number' ? { ...one, data: [...one.data, ...bytes] } : one,
    );
    const measuredAs = (loader: IgvmLoader) =>
      measureIgvm({ file: file({ ...rest, directives: changed }), loader }, nobleHashes).warnings;
    expect(measuredAs('qemu')).toEqual(warnings);
    expect(measuredAs('microsoft')).toEqual([]);
  });

  it.each<[what: string, headers: readonly RawHeader[], stops: readonly [IgvmLoader, string, string][]]>([
    [
      'header types without a handler',
      [
        { type: 0x308, payload: new Uint8Array(8) },
        { type: 0x30f, payload: new Uint8Array(8) },
      ],
      [
        [
          'qemu',
          'QEMU stops at header types that it has no handler for: 0x308, 0x30f',
          'header types that QEMU has no handler for (0x308, 0x30f): QEMU stops',
        ],
      ],
    ],
    [
      'a CoRIM document',
      [{ type: 0x104, payload: new Uint8Array(16) }],
      [
        [
          'qemu',
          'QEMU stops at header types that it has no handler for: 0x104',
          'header types that QEMU has no handler for (0x104): QEMU stops',
        ],
        [
          'coconut',
          'igvmmeasure of COCONUT SVSM stops at CoRIM headers: its IGVM library is built without them',
          'CoRIM headers: igvmmeasure stops',
        ],
      ],
    ],
    [
      'two ID blocks',
      headersOf(
        {
          platforms: [],
          directives: ['11', '22'].map((byte) => ({ kind: 'id-block', mask: 1, digest: byte.repeat(48) }) as const),
        },
        () => 0,
      ),
      [
        [
          'qemu',
          'QEMU stops at several SNP ID blocks',
          'several SNP ID blocks: QEMU stops, igvmmeasure takes the last',
        ],
      ],
    ],
  ])('stops at %s, as do others, and all are told of it', (_what, added, stops) => {
    const recipe: IgvmRecipe = {
      platforms: [{ type: 2, mask: 1 }],
      policies: POLICIES,
      directives: [{ ...PLAIN, data: null }],
    };
    const [platform, policy, ...rest] = headersOf(recipe, () => 0);
    const [initial, directives] = [added.filter(({ type }) => type < 0x200), added.filter(({ type }) => type >= 0x200)];
    if (platform === undefined || policy === undefined) throw new Error('no headers');
    const loaded = parseIgvm(igvmOf([platform, policy, ...initial, ...rest, ...directives]));
    for (const [loader, message] of stops) {
      expect(failure(() => measureIgvm({ file: loaded, loader }, nobleHashes))).toMatchObject({
        kind: 'format',
        message: `IGVM: ${message}`,
      });
    }
    const { differences, others, idBlock } = measureIgvm({ file: loaded, loader: 'microsoft' }, nobleHashes);
    expect(differences).toEqual(stops.map(([, , difference]) => difference));
    expect(others).toEqual(stops.map(([loader, message]) => ({ loader, digest: undefined, stops: message })));
    if (_what === 'two ID blocks') expect(bytesToHex(idBlock ?? new Uint8Array())).toBe('22'.repeat(48));
  });

  it('stops at a file without directives', () => {
    const empty = file({ platforms: [{ type: 2, mask: 1 }], policies: POLICIES, directives: [] });
    expect(failure(() => measureIgvm({ file: empty }, nobleHashes)).message).toBe(
      'IGVM: QEMU stops at a file without directives',
    );
    expect(measureIgvm({ file: empty, loader: 'microsoft' }, nobleHashes).differences).toEqual([
      'no directives: QEMU stops',
    ]);
  });

  it('stops at a page that is added twice, which KVM refuses for SNP', () => {
    const twice = (type: number, ...more: readonly DirectiveRecipe[]) =>
      file({ platforms: [{ type, mask: 1 }], policies: POLICIES, directives: [PLAIN, ...more] });
    const large = { ...PLAIN, gpa: '0x0', flags: 1, data: null };
    const parameters: readonly DirectiveRecipe[] = [
      { kind: 'area', index: 0, size: 0x2000 },
      { kind: 'insert', gpa: '0x0', mask: 1, index: 0 },
    ];
    for (const more of [
      [{ ...PLAIN, data: 2 }],
      [large],
      parameters,
      [
        { ...PLAIN, gpa: '0x0' },
        { ...PLAIN, flags: 4 },
      ],
    ]) {
      const made = twice(2, ...more);
      expect(failure(() => measureIgvm({ file: made }, nobleHashes)).message).toBe(
        'IGVM: QEMU stops at the page at 0x1000, which is added twice: KVM refuses it',
      );
      const { differences, others } = measureIgvm({ file: made, loader: 'microsoft' }, nobleHashes);
      expect(differences[0]).toBe('page added twice: QEMU stops, since KVM refuses it, the others count it each time');
      expect(others[0]).toMatchObject({ loader: 'qemu', digest: undefined });
    }
    // Another platform's page, and neighbours, are none.
    const apart = twice(
      2,
      { ...PLAIN, mask: 2 },
      { ...PLAIN, gpa: '0x2000' },
      { ...PLAIN, gpa: '0x0' },
      { ...large, gpa: '0x200000' },
    );
    expect(measureIgvm({ file: apart }, nobleHashes).digest).toHaveLength(48);
    // SEV encrypts and measures it again.
    const sev = measureIgvm({ file: twice(4, PLAIN) }, nobleHashes);
    expect(sev.digest).toEqual(nobleHashes.sha256(concat(pageOf(1), pageOf(1))));
    expect(sev.differences).toEqual([]);
    const tdx = measureIgvm({ file: twice(3, { ...PLAIN, data: 2 }) }, nobleHashes);
    expect(tdx.warnings).toEqual([
      'the page at 0x1000 is added twice, which the TDX module refuses: no guest starts from this file',
    ]);
    expect(measureIgvm({ file: twice(3, { ...PLAIN, flags: 4 }) }, nobleHashes).warnings).toEqual([]);
  });

  it('leaves out what is behind the save area, also of the VMSA that it returns', () => {
    const [page] = measure('VMSA with bytes behind the save area').vmsas;
    expect(page?.subarray(0x670).every((byte) => byte === 0)).toBe(true);
    const [whole] = measure('VMSA with bytes behind the save area', { loader: 'coconut' }).vmsas;
    expect([whole?.[0x670], whole?.[0xfff]]).toEqual([1, 2]);
  });
});

describe('measureIgvm', () => {
  it('takes the first of snp, sev-es, sev that the file is for, as QEMU does', () => {
    expect(measure('all platforms').platform).toBe('snp');
    expect(measure('SEV: zeros and unmeasured pages').platform).toBe('sev-es');
    const recipe: IgvmRecipe = { platforms: [{ type: 4, mask: 1 }], directives: [PLAIN] };
    expect(measureIgvm({ file: file(recipe) }, nobleHashes)).toMatchObject({ platform: 'sev', loader: 'qemu' });
  });

  it('refuses a platform that the file is not for, and a loader that has no digest for it', () => {
    expect(failure(() => measure('no VMSA', { platform: 'sev' }))).toEqual({
      kind: 'usage',
      message: 'the IGVM file is not for sev: it is for snp',
      hint: 'take snp, or build the file for yours',
    });
    const vsm = file({ platforms: [{ type: 1, mask: 1 }], directives: [] });
    expect(failure(() => measureIgvm({ file: vsm }, nobleHashes)).hint).toBe('build the file for yours');
    expect(failure(() => measureIgvm({ file: vsm }, nobleHashes)).message).toBe(
      'the IGVM file is not for snp: it is for vsm',
    );
    expect(failure(() => measure('all platforms', { platform: 'sev', loader: 'microsoft' }))).toEqual({
      kind: 'usage',
      message: 'microsoft/igvm has no digest for sev',
      hint: 'leave --as out, or take one that has: qemu, coconut',
    });
    for (const request of [{ nativeZero: true }, { nativeZero: true, loader: 'coconut', platform: 'sev' }] as const) {
      expect(failure(() => measure('all platforms', request))).toMatchObject({
        kind: 'usage',
        message: 'native zero pages go with coconut and snp alone: others load zeros as plain pages',
      });
    }
  });

  it('keeps a plan in which neighbours are one step, and which ends in the digest', () => {
    const { plan, digest, vmsas, policy } = measure(files[0]?.name ?? '', { plan: true });
    expect(plan?.map(({ name, type, gpa, length }) => [name, type, gpa, length])).toEqual([
      ['parameters 0', 'unmeasured', 0x5000n, 0x1000],
      ['page data', 'normal', 0x1000n, 0x3000],
      ['page data', 'unmeasured', 0x4000n, 0x1000],
      ['secrets', 'secrets', 0x6000n, 0x1000],
      ['cpuid', 'cpuid', 0x7000n, 0x2000],
      ['page data', 'normal', 0xfffff000n, 0x1000],
      ['vcpu 0', 'vmsa', 0xfffffffff000n, 0x1000],
    ]);
    expect(plan?.at(-1)?.digest).toEqual(digest);
    expect(vmsas).toHaveLength(1);
    expect(policy).toBe(0x30000n);
    expect(measure('no VMSA').plan).toBeUndefined();
  });

  it('has data steps for SEV, each with the digest after it', () => {
    const { plan, digest } = measure('SEV: zeros and unmeasured pages', { plan: true });
    expect(plan?.map(({ name, type, gpa, length }) => [name, type, gpa, length])).toEqual([
      ['page data', 'data', 0x1000n, 0x2000],
      ['vcpu 0', 'vmsa', 0xfffffffff000n, 0x1000],
      ['vcpu 1', 'vmsa', 0xfffffffff000n, 0x1000],
    ]);
    expect(plan?.at(-1)?.digest).toEqual(digest);
  });

  it('adds pages for TDX, and their contents where they are measured', () => {
    const { loader, plan, digest, differences, others, vmsas } = measure('all platforms', {
      platform: 'tdx',
      plan: true,
    });
    expect({ loader, differences, others, vmsas }).toEqual({
      loader: 'microsoft',
      differences: [],
      others: [],
      vmsas: [],
    });
    expect(plan?.map(({ name, type, gpa, length }) => [name, type, gpa, length])).toEqual([
      ['parameters 1', 'add', 0x20000n, 0x2000],
      ['page data', 'add+extend', 0x1000n, 0x2000],
      ['page data', 'add', 0x3000n, 0x1000],
    ]);
    expect(plan?.at(-1)?.digest).toEqual(digest);
    const only: IgvmRecipe = { ...named('all platforms'), platforms: [{ type: 3, mask: 8 }], directives: [] };
    expect(measureIgvm({ file: file(only) }, nobleHashes)).toMatchObject({ platform: 'tdx', loader: 'microsoft' });
    expect(failure(() => measure('all platforms', { platform: 'tdx', loader: 'qemu' }))).toMatchObject({
      kind: 'usage',
      message: 'QEMU has no digest for tdx',
      hint: 'leave --as out, or take one that has: microsoft',
    });
  });

  it('returns the digest that the ID block for SNP demands, which is no part of the digest', () => {
    const plain = measure('two VMSAs');
    const withBlock = (mask: number) => ({
      ...named('two VMSAs'),
      directives: [...named('two VMSAs').directives, { kind: 'id-block' as const, mask, digest: '5a'.repeat(48) }],
    });
    const signed = measureIgvm({ file: file(withBlock(1)) }, nobleHashes);
    expect(signed.digest).toEqual(plain.digest);
    expect(bytesToHex(signed.idBlock ?? new Uint8Array())).toBe('5a'.repeat(48));
    expect(measureIgvm({ file: file(withBlock(2)) }, nobleHashes).idBlock).toBeUndefined();
    expect(plain.idBlock).toBeUndefined();
  });

  describe('the guest policy', () => {
    const withPolicies = (type: number, ...policies: readonly string[]) =>
      file({
        platforms: [{ type, mask: 1 }],
        policies: [...policies.map((policy) => ({ policy, mask: 1 })), { policy: '0x80000', mask: 2 }],
        directives: [PLAIN],
      });
    const NO_VMSA = expect.stringContaining('has no VMSA');
    const of = (loaded: IgvmFile, loader?: IgvmLoader) => {
      const { policy, differences, others, warnings } = measureIgvm({ file: loaded, loader }, nobleHashes);
      return { policy, differences, others: others.length, warnings };
    };

    it('is the last of several for QEMU and the first for the others, which is a difference without another digest', () => {
      const several = withPolicies(2, '0xb0000', '0x20000', '0x30000');
      const differences = ['several guest policies: QEMU has the last, 0x30000, the others the first, 0xb0000'];
      expect(of(several)).toEqual({ policy: 0x30000n, differences, others: 0, warnings: [NO_VMSA] });
      const debug = 'the guest policy 0xb0000 lets the host debug the guest: it reads and changes all memory';
      for (const loader of ['coconut', 'microsoft'] as const) {
        expect(of(several, loader)).toEqual({ policy: 0xb0000n, differences, others: 0, warnings: [debug, NO_VMSA] });
      }
      expect(of(withPolicies(2, '0x30000', '0x30000')).differences).toEqual([]);
    });

    it('is none for QEMU on SNP where it is 0, which is a difference', () => {
      expect(of(withPolicies(2, '0x0'))).toEqual({
        policy: undefined,
        differences: ['guest policy 0x0: QEMU keeps that of sev-snp-guest, the others have 0x0'],
        others: 0,
        warnings: [NO_VMSA],
      });
      const last = withPolicies(2, '0xb0000', '0x0');
      const differences = ['guest policy 0x0: QEMU keeps that of sev-snp-guest, the others have 0xb0000'];
      expect(of(last)).toEqual({ policy: undefined, differences, others: 0, warnings: [NO_VMSA] });
      expect(of(last, 'coconut')).toMatchObject({ policy: 0xb0000n, differences });
      expect(of(withPolicies(2, '0x0', '0x30000'))).toMatchObject({
        policy: 0x30000n,
        differences: ['several guest policies: QEMU has the last, 0x30000, the others the first, 0x0'],
      });
    });

    it('is the first of several on platforms for which QEMU reads none', () => {
      for (const loader of ['qemu', 'coconut'] as const) {
        expect(of(withPolicies(4, '0x1', '0x5'), loader)).toMatchObject({ policy: 1n, differences: [] });
      }
      expect(of(withPolicies(3, '0x2', '0x0'), 'microsoft')).toMatchObject({ policy: 2n, differences: [] });
    });

    it.each([
      ['snp', 2, 'qemu', '0x30000', []],
      ['snp', 2, 'microsoft', '0xb0000', ['the guest policy 0xb0000 lets the host debug the guest']],
      [
        'snp',
        2,
        'qemu',
        '0x130000',
        ['QEMU begins the launch before it reads the guest policy of the file: give policy=0x130000'],
      ],
      ['snp', 2, 'microsoft', '0x10000', ['the guest policy 0x10000 is none that SNP starts a guest with: bit 17']],
      // cgs_set_guest_policy of QEMU keeps its own policy then.
      ['snp', 2, 'qemu', '0x0', []],
      ['snp', 2, 'coconut', '0x0', ['the guest policy 0x0 is none that SNP starts a guest with: bit 17']],
      ['sev', 4, 'qemu', '0x1', []],
      [
        'sev',
        4,
        'qemu',
        '0x2',
        ['QEMU does not read the guest policy of the file, 0x2, for sev: that of sev-guest counts'],
      ],
      [
        'sev-es',
        5,
        'qemu',
        '0x4',
        ['QEMU does not read the guest policy of the file, 0x4, for sev-es: that of sev-guest counts'],
      ],
      ['sev', 4, 'coconut', '0x2', ['the guest policy 0x2 lets the host debug the guest']],
      ['tdx', 3, 'microsoft', '0x2', []],
      ['tdx', 3, 'microsoft', '0x1', ['the guest policy 0x1 lets the host debug the guest']],
    ] as const)('is warned of: %s %i as %s, %s', (_name, type, loader, policy, warnings) => {
      const told = of(withPolicies(type, policy), loader).warnings.filter((one) => !one.includes('has no VMSA'));
      expect(told).toEqual(warnings.map((one) => expect.stringContaining(one)));
    });
  });

  describe('of few bytes that stand for many pages', () => {
    const zeros = (type: number, count: number): IgvmRecipe => ({
      platforms: [{ type, mask: 1 }],
      policies: [{ policy: '0x30000', mask: 1 }],
      directives: Array.from(
        { length: count },
        (_, i) =>
          ({ kind: 'page', gpa: `0x${(i << 21).toString(16)}`, mask: 1, flags: 1, type: 0, data: null }) as const,
      ),
    });

    it('has its zeros hashed once on SNP, and once more for a loader with other pages only', () => {
      const hashed: number[] = [];
      const hashes: Hashes = {
        ...nobleHashes,
        sha384: (bytes) => {
          hashed.push(bytes.length);
          return nobleHashes.sha384(bytes);
        },
      };
      const { digest, others } = measureIgvm({ file: file(zeros(2, 4)) }, hashes);
      expect(others.map(({ loader }) => loader)).toEqual(['microsoft']);
      // 4 pages of 2 MiB for QEMU and igvmmeasure together, 4 of 4 KiB for microsoft/igvm; PAGE_INFO has 112 bytes.
      expect(hashed.filter((length) => length === 4096)).toHaveLength(2);
      expect(hashed.filter((length) => length === 112)).toHaveLength(4 * 512 + 4);
      const slow = new SnpDigest(nobleHashes);
      for (let page = 0; page < 4; page++) slow.add('normal', BigInt(page << 21), new Uint8Array(1 << 21));
      expect(digest).toEqual(slow.value());
    });

    it('feeds SEV all of them, many at a time', () => {
      const updates: number[] = [];
      const counting = (hash: RunningHash): RunningHash => ({
        update: (bytes) => {
          updates.push(bytes.length);
          return hash.update(bytes);
        },
        copy: () => counting(hash.copy()),
        digest: () => hash.digest(),
      });
      const hashes: Hashes = { ...nobleHashes, startSha256: () => counting(nobleHashes.startSha256()) };
      const { digest } = measureIgvm({ file: file(zeros(4, 2)), platform: 'sev' }, hashes);
      expect(updates.reduce((sum, length) => sum + length, 0)).toBe(2 << 21);
      expect(updates.length).toBeLessThan(100);
      expect(digest).toEqual(nobleHashes.sha256(new Uint8Array(2 << 21)));
    });
  });

  it('measures at most 1 GiB, and no page beyond all addresses', () => {
    const large = (count: number): IgvmRecipe => ({
      platforms: [{ type: 2, mask: 1 }],
      directives: [
        { kind: 'area', index: 0, size: 0x3ffff000 },
        { kind: 'insert', gpa: '0x0', mask: 1, index: 0 },
        ...Array.from(
          { length: count },
          (_, i) => ({ kind: 'page', gpa: `0x4000${i}000`, mask: 1, flags: 0, type: 0, data: null }) as const,
        ),
      ],
    });
    expect(failure(() => measureIgvm({ file: file(large(2)) }, nobleHashes))).toMatchObject({
      kind: 'format',
      message: 'IGVM: the guest has 1073745920 bytes of pages, more than the 1 GiB measured here',
    });
    const beyond: IgvmRecipe = {
      platforms: [{ type: 2, mask: 1 }],
      directives: [
        { kind: 'area', index: 3, size: 0x2000 },
        { kind: 'insert', gpa: '0xfffffffffffff000', mask: 1, index: 3 },
      ],
    };
    expect(failure(() => measureIgvm({ file: file(beyond) }, nobleHashes)).message).toBe(
      'IGVM: parameters 3 ends beyond all addresses',
    );
  });
});
