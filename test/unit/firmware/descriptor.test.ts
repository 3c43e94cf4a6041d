import { describe, expect, it } from 'vitest';
import {
  describeFirmware,
  isDescriptor,
  parseDescriptor,
  printDescriptor,
} from '../../../src/core/firmware/descriptor.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { measure } from '../../../src/core/measurement/measure.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { AMDSEV, firmwareImage, lastPage, type Tables } from '../../firmware-image.ts';
import { fixture, vectors } from '../../fixtures.ts';

const read = (name: string) => new TextDecoder().decode(fixture(name));

describe('our form', () => {
  const image = fixture('debian-ovmf/OVMF.amdsev_2026.08.fd');
  const described = describeFirmware(image, nodeHashes);

  it('says what SNP needs', () => {
    expect(JSON.parse(printDescriptor(described))).toEqual({
      format: 'bootseal-firmware-1',
      sha256: '3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f',
      bytes: 4194304,
      // Known answer: vector peer-ovmfhash-amdsev-2026.08.
      snpDigest: '9d0dd8be18c86e3fe3bf0038ed75ebf5340bee69fd2632c8ff9409964575960ae1f7e84be387d2e3467bc3508d1e4806',
      resetAddress: '0x80b004',
      hashArea: { base: '0x810c00', size: 0x400 },
      secretArea: { base: '0x810000', size: 0xc00 },
      sevSections: [
        { gpa: '0x800000', size: 0x9000, type: 1 },
        { gpa: '0x80a000', size: 0x3000, type: 1 },
        { gpa: '0x80d000', size: 0x1000, type: 2 },
        { gpa: '0x80e000', size: 0x1000, type: 3 },
        { gpa: '0x80f000', size: 0x1000, type: 4 },
        { gpa: '0x811000', size: 0x1f000, type: 1 },
        { gpa: '0x810000', size: 0x1000, type: 16 },
      ],
    });
    expect(printDescriptor(described)).toMatch(/^\{\n {2}"format": "bootseal-firmware-1",\n {2}"sha256"/);
    expect(printDescriptor(described)).toMatch(/\n\}\n$/);
  });

  it('is read as it was written', () => {
    expect(parseDescriptor(printDescriptor(described))).toEqual(described);
    expect(described.firmware).toMatchObject({ footer: [], tdxSections: undefined, gpa: 0xffc00000 });
    const bare = describeFirmware(lastPage({ sev: AMDSEV.sev ?? [], reset: 0x80b004 }), nodeHashes);
    expect(parseDescriptor(printDescriptor(bare))).toEqual(bare);
    expect(bare.firmware).toMatchObject({ resetAddress: 0x80b004, hashArea: undefined, secretArea: undefined });
  });

  it('measures like the image', () => {
    const request = (firmware: Parameters<typeof measure>[0]['firmware']) =>
      measure(
        {
          platform: 'snp',
          firmware,
          kernel: { kernel: new Uint8Array(32), initrd: new Uint8Array(32), cmdline: new Uint8Array(32) },
          profile: findProfile('qemu'),
          vcpus: [3],
          cpus: [{ name: undefined, signature: 0xa00f11 }],
          features: 1n,
          svsm: undefined,
          unknownSections: 'refuse',
          plan: false,
        },
        nodeHashes,
      );
    const { firmware, snpDigest } = parseDescriptor(printDescriptor(described));
    const whole = { image, firmware: { ...firmware }, snpDigest: undefined };
    expect(request({ image: undefined, firmware, snpDigest })).toEqual(request(whole));
  });

  it('has the step of the firmware in its plan, as far as it tells', () => {
    const { firmware, snpDigest } = described;
    const firstStep = (of: Parameters<typeof measure>[0]['firmware']) =>
      measure(
        {
          platform: 'snp',
          firmware: of,
          profile: findProfile('ec2'),
          vcpus: [1],
          cpus: [{ signature: 0 }],
          features: 1n,
          plan: true,
        },
        nodeHashes,
      )[0]?.plan?.[0];
    expect(firstStep({ firmware, snpDigest })).toEqual(firstStep({ firmware, image }));
    const { firmware: go, snpDigest: digest } = parseDescriptor(read('sev-snp-measure-go/ovmf_img_1.json'));
    expect(firstStep({ firmware: go, snpDigest: digest })).toEqual({
      name: 'firmware',
      type: 'normal',
      gpa: undefined,
      length: 0,
      digest,
    });
  });

  it('is not made of an image that SNP cannot use', () => {
    const { sev: _, ...tables }: Tables = AMDSEV;
    expect(failure(() => describeFirmware(firmwareImage(tables), nodeHashes))).toMatchObject({
      kind: 'format',
      message: 'the firmware has no SEV metadata, so there is nothing to describe for SNP',
      hint: 'SEV and SEV-ES are measured from the image itself; for SNP build OvmfPkg/AmdSev/AmdSevX64.dsc',
    });
    const { reset: __, ...withoutReset }: Tables = AMDSEV;
    expect(failure(() => describeFirmware(firmwareImage(withoutReset), nodeHashes))).toEqual({
      kind: 'format',
      message:
        'the firmware cannot serve snp: its footer does not say where further vCPUs start (no SEV-ES reset block)',
      hint: 'build OvmfPkg/AmdSev/AmdSevX64.dsc',
    });
    expect(failure(() => describeFirmware(firmwareImage({ ...AMDSEV, sev: [[0, 0, 1]] }), nodeHashes))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('builds for TDX only'),
    });
    const odd = new Uint8Array(image.length - 1);
    odd.set(image.subarray(1));
    expect(failure(() => describeFirmware(odd, nodeHashes)).kind).toBe('format');
  });

  const good = JSON.parse(printDescriptor(describeFirmware(lastPage(AMDSEV), nodeHashes))) as Record<string, unknown>;
  it.each([
    ['format', 'bootseal-firmware-2'],
    ['format', undefined],
    ['sha256', 'ab'],
    ['sha256', 'g'.repeat(64)],
    ['sha256', null],
    ['bytes', 0],
    ['bytes', 4095],
    ['bytes', 64 * 2 ** 20 + 4096],
    ['bytes', -4096],
    ['bytes', '4096'],
    ['snpDigest', 'ab'.repeat(47)],
    ['snpDigest', `0x${'ab'.repeat(47)}`],
    ['snpDigest', 5],
    ['resetAddress', 8433668],
    ['resetAddress', '0x1'.padEnd(11, '0')],
    ['resetAddress', '80b004'],
    ['resetAddress', ['0x80b004']],
    ['resetAddress', ' 0x80b004'],
    ['hashArea', []],
    ['hashArea', { base: '0x0', size: 4 }],
    ['hashArea', { base: '0x1', size: 0 }],
    ['secretArea', 'none'],
    ['sevSections', []],
    ['sevSections', {}],
    ['sevSections', null],
  ])('is refused when its %s is %j', (key, value) => {
    const error = failure(() => parseDescriptor(JSON.stringify({ ...good, [key]: value })));
    expect(error).toEqual({
      kind: 'format',
      message: `firmware descriptor.${key}: missing or of the wrong form`,
      hint: expect.any(String),
    });
  });

  it.each([
    [{ hashArea: { base: '0x1' } }, 'firmware descriptor.hashArea.size: missing'],
    [{ hashArea: { base: 1, size: 1 } }, 'firmware descriptor.hashArea.base: missing'],
    [{ secretArea: { base: '0x1', size: 1.5 } }, 'firmware descriptor.secretArea.size: missing'],
    [{ sevSections: [null] }, 'firmware descriptor.sevSections[0]: missing'],
    [
      {
        sevSections: [
          { gpa: '0x0', size: 0, type: 0 },
          { gpa: 0, size: 0, type: 0 },
        ],
      },
      'sevSections[1].gpa: missing',
    ],
    [{ sevSections: [{ gpa: '0x0', size: 2 ** 32, type: 0 }] }, 'sevSections[0].size: missing'],
    [{ sevSections: [{ gpa: '0x0', size: 0, type: '1' }] }, 'sevSections[0].type: missing'],
    [{ sevSections: [{ gpa: '0x0', size: 0, type: 1, more: 1 }] }, 'sevSections[0]: unknown key "more"'],
    [{ note: 1 }, 'firmware descriptor: unknown key "note"'],
    [{ '\u009b31m\u202e\n': 1 }, 'firmware descriptor: unknown key "?31m?\\n"'],
    [{ [`${'long'.repeat(16)}er`]: 1 }, `unknown key "${'long'.repeat(16)}"`],
  ])('is refused with %j', (over, message) => {
    const error = failure(() => parseDescriptor(JSON.stringify({ ...good, ...over })));
    expect(error.kind).toBe('format');
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/^[\x20-\x7e]+$/);
  });

  it('accepts the largest numbers', () => {
    const sevSections = [{ gpa: '0xFFFFFFFF', size: 0xffffffff, type: 0xffffffff }];
    const text = JSON.stringify({ ...good, bytes: 64 * 2 ** 20, sevSections });
    const { firmware } = parseDescriptor(text);
    expect(firmware.sevSections).toEqual([{ gpa: 0xffffffff, size: 0xffffffff, type: 0xffffffff }]);
    expect(firmware.gpa).toBe(0xfc000000);
  });

  it.each(['', 'null', '[]', '5', '"text"', '{'])('is refused when the file is %j', (text) => {
    const error = failure(() => parseDescriptor(text));
    expect(error.kind).toBe('format');
    expect(error.message).toMatch(/^firmware descriptor(: not JSON|: missing|\.format: missing)/);
  });
});

describe('the form of sev-snp-measure-go', () => {
  const entries = vectors<{
    groups: { metadata_wrapper: { id: string; inputs: { metadata: string }; expected: { hex: string } }[] };
  }>('measurement.json').groups.metadata_wrapper;

  it('has two known answers', () => expect(entries).toHaveLength(2));

  it.each(entries)('$id measures as its authors say', ({ inputs, expected }) => {
    const { firmware, snpDigest, sha256 } = parseDescriptor(read(inputs.metadata));
    expect(sha256).toBeUndefined();
    const [result] = measure(
      {
        platform: 'snp',
        firmware: { image: undefined, firmware, snpDigest },
        kernel: undefined,
        // The vectors ask for the EC2 state of 2023, with RDX 0.
        profile: findProfile('ec2-2023'),
        vcpus: [2],
        cpus: [{ name: undefined, signature: 0 }],
        features: 1n,
        svsm: undefined,
        unknownSections: 'refuse',
        plan: false,
      },
      nodeHashes,
    );
    expect(bytesToHex(result?.digest ?? new Uint8Array())).toBe(expected.hex);
  });

  it('does not say how large the image is, so no SVSM can be placed below it', () => {
    const { firmware, snpDigest } = parseDescriptor(read('sev-snp-measure-go/ovmf_img_1.json'));
    expect(firmware).toMatchObject({ size: 0, gpa: 0, hashArea: undefined });
    const svsm = { image: fixture('sev-snp-measure/svsm.bin'), varsSize: 540672 };
    const error = failure(() =>
      measure(
        {
          platform: 'snp',
          firmware: { image: undefined, firmware, snpDigest },
          kernel: undefined,
          profile: findProfile('qemu'),
          vcpus: [1],
          cpus: [{ name: undefined, signature: 1 }],
          features: 1n,
          svsm,
          unknownSections: 'refuse',
          plan: false,
        },
        nodeHashes,
      ),
    );
    expect(error.kind).toBe('usage');
  });

  it.each([
    [{ OVMFHash: 'ab' }, 'firmware metadata.OVMFHash: missing'],
    [{ ResetEIP: 8433668 }, 'firmware metadata.ResetEIP: missing'],
    [{ ResetEIP: undefined }, 'firmware metadata.ResetEIP: missing'],
    [{ MetadataItems: [] }, 'firmware metadata.MetadataItems: missing'],
    [
      { MetadataItems: [{ GPA: '0x0', Size: 4096, SectionTypeInt: 1 }] },
      'firmware metadata.MetadataItems[0].Size: missing',
    ],
    [
      { MetadataItems: [{ GPA: 'x', Size: '0x0', SectionTypeInt: 1 }] },
      'firmware metadata.MetadataItems[0].GPA: missing',
    ],
    [
      { MetadataItems: [{ GPA: '0x0', Size: '0x0', SectionTypeInt: -1 }] },
      'firmware metadata.MetadataItems[0].SectionTypeInt: missing',
    ],
    [{ more: 1 }, 'firmware metadata: unknown key "more"'],
  ])('is refused with %j', (over, message) => {
    const good = JSON.parse(read('sev-snp-measure-go/ovmf_img_1.json')) as object;
    const error = failure(() => parseDescriptor(JSON.stringify({ ...good, ...over })));
    expect(error.kind).toBe('format');
    expect(error.message).toContain(message);
  });
});

describe('isDescriptor', () => {
  it('tells JSON from an image', () => {
    const bytes = (text: string) => Uint8Array.from(Buffer.from(text));
    expect(isDescriptor(fixture('sev-snp-measure-go/ovmf_img_1.json'))).toBe(true);
    expect(isDescriptor(bytes(' \t\r\n{'))).toBe(true);
    expect(isDescriptor(bytes('\u{feff} {'))).toBe(true);
    expect(isDescriptor(bytes('\u{feff}'))).toBe(false);
    expect(isDescriptor(bytes('x{'))).toBe(false);
    expect(isDescriptor(bytes('   '))).toBe(false);
    expect(isDescriptor(new Uint8Array())).toBe(false);
    const image = fixture('debian-ovmf/OVMF.amdsev_2026.08.fd');
    expect(isDescriptor(image)).toBe(false);
    expect(isDescriptor(Uint8Array.from([0x7b, ...image.subarray(image.length - 4096)]))).toBe(false);
  });
});
