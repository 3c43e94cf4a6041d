import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { guestCmdline } from '../../../src/core/launch/cmdline.ts';
import { parseDescription } from '../../../src/core/launch/description.ts';
import { parseDiskManifest } from '../../../src/core/launch/disk-manifest.ts';
import { DISK_PASSPHRASE } from '../../../src/core/secret/names.ts';
import { parseYaml } from '../../../src/host/yaml.ts';
import { hinted } from '../../failure.ts';

const LEAST = { platform: 'sev', policy: 'nodbg', firmware: 'fw', kernel: 'k' };
const ES = { ...LEAST, platform: 'sev-es', policy: 'nodbg,es', cpu: 'EPYC' };
const outcome = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    const { kind, message } = hinted(error);
    return `${kind}: ${message}`;
  }
};
const parse = (over: object = {}, base: object = LEAST) => outcome(() => parseDescription({ ...base, ...over }));

describe('parseDescription', () => {
  it('fills in what may be left out', () => {
    expect(parseDescription(LEAST)).toEqual({
      name: 'guest',
      platform: 'sev',
      policyText: 'nodbg',
      policy: 1,
      firmware: 'fw',
      kernel: 'k',
      cmdline: '',
      vcpus: 1,
      profile: 'qemu',
      memory: 1024,
      secrets: [],
      cbitpos: 51,
      reducedPhysBits: 1,
    });
  });

  it('reads every key', () => {
    const all = {
      name: 'web-1',
      platform: 'sev-es',
      policy: ['nodbg', 'es'],
      'minimum-api': '1.50',
      firmware: 'fw',
      'accept-firmware': 'none',
      kernel: 'k',
      initrd: 'i',
      cmdline: 'a  b ',
      vcpus: '4096',
      cpu: 'EPYC-Milan',
      profile: 'qemu-legacy',
      'vmsa-features': '0x20',
      memory: '2G',
      disk: { image: 'd', format: 'qcow2', manifest: 'm' },
      secrets: { 'disk-passphrase': 'p', '0a46e24d-478c-4eb1-8696-113eeec3aa99': 'b,nul' },
      'platform-certs': 'c',
      root: ['milan', 'genoa'],
      cbitpos: '47',
      'reduced-phys-bits': '5',
      'host-folder': '/srv',
    };
    expect(parseDescription(all)).toEqual({
      name: 'web-1',
      platform: 'sev-es',
      policyText: 'nodbg,es',
      policy: 5,
      minimumApi: '1.50',
      firmware: 'fw',
      acceptFirmware: 'none',
      kernel: 'k',
      initrd: 'i',
      cmdline: 'a  b ',
      vcpus: 4096,
      cpu: 'EPYC-Milan',
      profile: 'qemu-legacy',
      vmsaFeatures: '0x20',
      memory: 2048,
      disk: { image: 'd', format: 'qcow2', manifest: 'm' },
      secrets: [
        { name: 'disk-passphrase', file: 'p' },
        { name: '0a46e24d-478c-4eb1-8696-113eeec3aa99', file: 'b,nul' },
      ],
      platformCerts: 'c',
      root: 'milan,genoa',
      cbitpos: 47,
      reducedPhysBits: 5,
      hostFolder: '/srv',
    });
    expect(parseDescription({ ...LEAST, disk: { image: 'd' } }).disk).toEqual({
      image: 'd',
      format: 'raw',
      manifest: 'd.json',
    });
    expect(parseDescription({ ...LEAST, memory: '512M' }).memory).toBe(512);
    expect(parseDescription({ ...LEAST, vcpus: '1', cbitpos: '63' })).toMatchObject({ vcpus: 1, cbitpos: 63 });
  });

  it.each(['platform', 'policy', 'firmware', 'kernel'])('needs %s', (key) => {
    expect(parse({ [key]: undefined })).toBe(`format: ${key}: it is missing`);
  });

  it.each<[object, string]>([
    [{ initd: 'x' }, 'format: : unknown key "initd"'],
    [{ disk: { image: 'x', fomat: 'raw' } }, 'format: disk.: unknown key "fomat"'],
    [{ disk: 'x' }, 'format: disk.: a mapping is needed'],
    [{ disk: {} }, 'format: disk.image: it is missing'],
    [{ disk: { image: 'x', format: 'vmdk' } }, 'format: disk.format: it is one of raw, qcow2'],
    [{ platform: 'snp' }, 'format: platform: it is one of sev, sev-es'],
    [{ kernel: '' }, 'format: kernel: it is empty'],
    [{ kernel: ['k'] }, 'format: kernel: a text is needed'],
    [{ kernel: '-' }, 'format: kernel: the name of a file is needed'],
    [{ cmdline: 'a\nb' }, 'format: cmdline: it holds a control character'],
    [{ cmdline: 'a\u007fb' }, 'format: cmdline: it holds a control character'],
    [{ vcpus: '0' }, 'format: vcpus: a number from 1 to 4096 is needed'],
    [{ vcpus: '4097' }, 'format: vcpus: a number from 1 to 4096 is needed'],
    [{ vcpus: '1e3' }, 'format: vcpus: a number from 1 to 4096 is needed'],
    [{ vcpus: ' 1' }, 'format: vcpus: a number from 1 to 4096 is needed'],
    [{ cbitpos: '31' }, 'format: cbitpos: a number from 32 to 63 is needed'],
    [{ 'reduced-phys-bits': '0' }, 'format: reduced-phys-bits: a number from 1 to 31 is needed'],
    [{ memory: '512' }, 'format: memory: a number of M or G is needed, such as 512M or 4G'],
    [{ memory: '0G' }, 'format: memory: a number of M or G is needed, such as 512M or 4G'],
    [{ memory: '1GB' }, 'format: memory: a number of M or G is needed, such as 512M or 4G'],
    [{ name: '-x' }, 'format: name: letters, digits and ".", "_", "-" are taken, 64 at most'],
    [{ name: 'a b' }, 'format: name: letters, digits and ".", "_", "-" are taken, 64 at most'],
    [{ name: 'a'.repeat(65) }, 'format: name: letters, digits and ".", "_", "-" are taken, 64 at most'],
    [{ 'host-folder': 'srv' }, 'format: host-folder: an absolute path is needed'],
    [{ 'vmsa-features': 'none' }, 'format: vmsa-features: a number such as 1 or 0x1 is needed'],
    [{ 'vmsa-features': '-1' }, 'format: vmsa-features: a number such as 1 or 0x1 is needed'],
    [{ 'vmsa-features': `0x1${'0'.repeat(16)}` }, 'format: vmsa-features: a number such as 1 or 0x1 is needed'],
    [{ profile: 'ec2' }, 'format: profile: it is one of qemu, qemu-legacy'],
    [{ policy: 'nodgb' }, 'usage: unknown policy flag "nodgb"'],
    [{ policy: [{}] }, 'format: policy: a text is needed'],
    [{ cpu: 'EPYX' }, 'usage: unknown CPU model "EPYX"'],
    [{ secrets: { passphrase: 'x' } }, 'usage: a secret is named by neither a GUID nor a known name'],
    [{ secrets: { 'disk-passphrase': { file: 'x' } } }, 'format: secrets.disk-passphrase: a text is needed'],
  ])('refuses %j', (over, expected) => {
    expect(parse(over)).toBe(expected);
  });

  it('needs the CPU model where it is measured', () => {
    expect(parse({}, ES)).toMatchObject({ cpu: 'EPYC' });
    expect(parse({ cpu: undefined }, ES)).toBe('format: cpu: SEV-ES measures the CPU model, so it is needed');
  });

  it('takes the longest name there may be', () => {
    expect(parse({ name: `a${'.'.repeat(63)}` })).toMatchObject({ name: `a${'.'.repeat(63)}` });
  });

  it.each([undefined, null, 'text', 7, [], [LEAST]])('refuses %j in place of a description', (value) => {
    expect(outcome(() => parseDescription(value))).toBe('format: : a mapping is needed');
  });

  it('returns or refuses whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.object({ maxDepth: 3 }),
        fc.constantFrom(...Object.keys(ES)),
        fc.anything(),
        (more, key, value) => {
          outcome(() => parseDescription({ ...ES, ...more }));
          outcome(() => parseDescription({ ...ES, [key]: value }));
        },
      ),
    );
  });
});

describe('guestCmdline', () => {
  const AREA = { base: 0x810000, size: 0xc00 };
  const HASH = 'ab'.repeat(32);
  const UUID = '0a46e24d-478c-4eb1-8696-113eeec3aa99';
  const DISK = { uuid: UUID, header: { file: null, sha256: HASH, bytes: 4096 }, keyGuid: DISK_PASSPHRASE };
  const HEADER = `bootseal.header=${HASH},4096`;
  it.each([
    ['quiet', AREA, DISK, `quiet bootseal.secret=0x810000,0xc00 bootseal.disk=UUID=${UUID} ${HEADER}`],
    ['quiet', undefined, undefined, 'quiet'],
    ['', AREA, undefined, 'bootseal.secret=0x810000,0xc00'],
    ['', undefined, DISK, `bootseal.disk=UUID=${UUID} ${HEADER}`],
    ['bootseal.disk=/dev/vda x', undefined, DISK, `bootseal.disk=/dev/vda x ${HEADER}`],
    ['xbootseal.disk=', undefined, DISK, `xbootseal.disk= bootseal.disk=UUID=${UUID} ${HEADER}`],
    ['a\tbootseal.disk=b', undefined, DISK, `a\tbootseal.disk=b ${HEADER}`],
    ['bootseal.disk=b', undefined, { ...DISK, keyGuid: UUID }, `bootseal.disk=b bootseal.key=${UUID} ${HEADER}`],
    [
      'bootseal.disk=b bootseal.key=c',
      undefined,
      { ...DISK, keyGuid: UUID },
      `bootseal.disk=b bootseal.key=c ${HEADER}`,
    ],
    ['', undefined, undefined, ''],
  ])('%j with %j and %j', (cmdline, secretArea, disk, expected) => {
    expect(guestCmdline({ cmdline, secretArea, disk })).toBe(expected);
  });

  it.each(['bootseal.secret=1', 'quiet bootseal.header=00'])('refuses %j', (cmdline) => {
    const [name = ''] = /bootseal\.\w+/.exec(cmdline) ?? [];
    expect(outcome(() => guestCmdline({ cmdline, secretArea: undefined, disk: undefined }))).toBe(
      `usage: cmdline: ${name} is put there by launch prepare`,
    );
  });

  it('refuses what a kernel would cut', () => {
    const of = (length: number) =>
      guestCmdline({ cmdline: 'x'.repeat(length), secretArea: undefined, disk: undefined });
    expect(of(2033)).toHaveLength(2033);
    expect(outcome(() => of(2034))).toBe('usage: cmdline: 2034 bytes, of which a kernel keeps 2033');
    // The hash that the guest holds its disk against stands last, and would be cut first.
    const accents = { cmdline: `bootseal.disk=${'é'.repeat(1000)}`, secretArea: undefined, disk: DISK };
    expect(outcome(() => guestCmdline(accents))).toBe('usage: cmdline: 2100 bytes, of which a kernel keeps 2033');
  });
});

describe('parseDiskManifest', () => {
  const sha256 = '0123456789abcdef'.repeat(4);
  const uuid = '0a46e24d-478c-4eb1-8696-113eeec3aa99';
  const MANIFEST = {
    format: 'bootseal-image-1',
    imageFormat: 'raw',
    diskBytes: 1,
    luks: { uuid, version: 2 },
    header: { file: null, sha256, bytes: 1 << 27 },
    key: { guid: DISK_PASSPHRASE },
    more: 1,
  };
  const parsed = (value: unknown) => outcome(() => parseDiskManifest(JSON.stringify(value), 'm'));
  it('finds what pins the disk', () => {
    const { header } = MANIFEST;
    const found = { testOnly: false, imageFormat: 'raw', diskBytes: 1, uuid, header, keyGuid: DISK_PASSPHRASE };
    expect(parsed(MANIFEST)).toEqual(found);
    const other = { ...MANIFEST, imageFormat: 'qcow2', header: { ...header, file: '...', bytes: 4096 } };
    expect(parsed(other)).toEqual({ ...found, imageFormat: 'qcow2', header: other.header });
  });

  it.each([
    [false, false],
    [true, true],
    ['no', true],
    [null, true],
    [0, true],
  ])('takes %j for a disk for tests only: %j', (said, testOnly) => {
    expect(parsed({ ...MANIFEST, testOnly: said })).toMatchObject({ testOnly });
  });

  it.each([
    ['null', null],
    ['a number', 7],
    ['nothing', {}],
    ['another version', { ...MANIFEST, format: 'bootseal-image-2' }],
    ['a disk of verity', { ...MANIFEST, format: 'bootseal-verity-1' }],
    ['another format', { ...MANIFEST, imageFormat: 'vmdk' }],
    ['no size', { ...MANIFEST, diskBytes: 0 }],
    ['a size that is a text', { ...MANIFEST, diskBytes: '1' }],
    ['a size between bytes', { ...MANIFEST, diskBytes: 1.5 }],
    ['no luks', { ...MANIFEST, luks: null }],
    ['a UUID with a blank', { ...MANIFEST, luks: { uuid: `${uuid} init=/bin/sh` } }],
    ['a UUID after another word', { ...MANIFEST, luks: { uuid: `x ${uuid}` } }],
    ['no header', { ...MANIFEST, header: null }],
    ['a path', { ...MANIFEST, header: { ...MANIFEST.header, file: '../h' } }],
    ['a folder', { ...MANIFEST, header: { ...MANIFEST.header, file: '..' } }],
    ['this folder', { ...MANIFEST, header: { ...MANIFEST.header, file: '.' } }],
    ['no name', { ...MANIFEST, header: { ...MANIFEST.header, file: '' } }],
    ['a name that is a number', { ...MANIFEST, header: { ...MANIFEST.header, file: 1 } }],
    ['a header between blocks', { ...MANIFEST, header: { ...MANIFEST.header, bytes: 4097 } }],
    ['a header larger than guests copy', { ...MANIFEST, header: { ...MANIFEST.header, bytes: (1 << 27) + 4096 } }],
    ['an empty header', { ...MANIFEST, header: { ...MANIFEST.header, bytes: 0 } }],
    ['a hash that is a number', { ...MANIFEST, header: { ...MANIFEST.header, sha256: 7 } }],
    ['a hash in a list', { ...MANIFEST, header: { ...MANIFEST.header, sha256: [sha256] } }],
    ['a short hash', { ...MANIFEST, header: { ...MANIFEST.header, sha256: sha256.slice(1) } }],
    ['a long hash', { ...MANIFEST, header: { ...MANIFEST.header, sha256: `${sha256}0` } }],
    ['a hash with a letter before it', { ...MANIFEST, header: { ...MANIFEST.header, sha256: `0${sha256}` } }],
    ['a hash in upper case', { ...MANIFEST, header: { ...MANIFEST.header, sha256: sha256.toUpperCase() } }],
    ['no key', { ...MANIFEST, key: undefined }],
    ['a key that is no GUID', { ...MANIFEST, key: { guid: 'disk-passphrase' } }],
  ])('refuses %s', (_, value) => {
    expect(parsed(value)).toBe('format: m: not the manifest of an encrypted image');
  });

  it('returns or refuses whatever it is given', () => {
    const change = fc.dictionary(fc.constantFrom(...Object.keys(MANIFEST)), fc.jsonValue());
    fc.assert(fc.property(change, (over) => void parsed({ ...MANIFEST, ...over })));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => void outcome(() => parseDiskManifest(text, 'm'))),
    );
  });

  it('refuses what is no JSON', () => {
    expect(outcome(() => parseDiskManifest('{', 'm'))).toBe('format: m: not JSON');
  });
});

describe('parseYaml', () => {
  const yaml = (text: string) =>
    parseYaml(text, 'f').catch((error: unknown) => {
      const { kind, message } = hinted(error);
      return `${kind}: ${message}`;
    });

  it('guesses nothing', async () => {
    expect(
      await yaml('a: 1.50\nb: no\nc: 0x10\nd: 2026-11-24\ne: null\nf: ~\ng: [1, yes]\nh: " x "\ni: !!str 1\n'),
    ).toMatch(/a tag/);
    expect(await yaml('a: 1.50\nb: no\nc: 0x10\nd: 2026-11-24\ne: null\nf: ~\ng: [1, yes]\nh: " x "\n')).toEqual({
      a: '1.50',
      b: 'no',
      c: '0x10',
      d: '2026-11-24',
      e: 'null',
      f: '~',
      g: ['1', 'yes'],
      h: ' x ',
    });
    expect(await yaml('<<: {a: 1}\n')).toEqual({ '<<': { a: '1' } });
  });

  it.each([
    ['a: &x [1]\nb: *x\n', 'format: f: an alias (*name) is not taken: write it out'],
    ['a: 1\na: 2\n', 'format: f: line 2, column 1: Map keys must be unique'],
    ['a: [1\n', 'format: f: line 2, column 1: '],
    ['a: 1\n---\nb: 2\n', 'format: f: '],
    ['a: *nowhere\n', 'format: f: '],
    ['a: !!binary aGk=\n', 'format: f: a tag'],
    ['a: !x y\n', 'format: f: '],
    ['\t- x\n', 'format: f: '],
    ['['.repeat(60_000), 'format: f: '],
    [`${'- '.repeat(30_000)}x`, 'format: f: '],
  ])('refuses %j', async (text, expected) => {
    expect(String(await yaml(text)).slice(0, expected.length)).toBe(expected);
  });

  it('returns or refuses whatever it is given', async () => {
    const part = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '&',
      '*',
      '!',
      '|',
      '>',
      '"',
      "'",
      '#',
      '%',
      '?',
      '\t',
    );
    await fc.assert(fc.asyncProperty(fc.array(part), async (parts) => void (await yaml(parts.join('')))));
    await fc.assert(fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => void (await yaml(text))));
  });
});
