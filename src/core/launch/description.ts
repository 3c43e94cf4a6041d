/** @module A launch as its owner describes it in one file: what `launch prepare` and the lab go by. docs/launch.md has every key. */
import { cpuModel } from '../measurement/cpu-models.ts';
import { MAX_VCPUS } from '../measurement/vcpus.ts';
import { secretGuid } from '../secret/names.ts';
import { parsePolicy } from '../session/policy.ts';
import { Fields, wrong } from './fields.ts';

/** The guest's disk. */
export interface DiskDescription {
  readonly image: string;
  readonly format: 'raw' | 'qcow2';
  /** The file that `image build` wrote beside it. */
  readonly manifest: string;
}

/** A launch. Names of files are as they were written, relative to the description. */
export interface LaunchDescription {
  /** What the host calls the guest. */
  readonly name: string;
  readonly platform: 'sev' | 'sev-es';
  /** As it was written, and its 32 bits. */
  readonly policyText: string;
  readonly policy: number;
  readonly minimumApi: string | undefined;
  readonly firmware: string;
  readonly acceptFirmware: string | undefined;
  readonly kernel: string;
  readonly initrd: string | undefined;
  /** Without what is added for disk and secrets. */
  readonly cmdline: string;
  readonly vcpus: number;
  /** QEMU's name; undefined leaves it to the host, which plain SEV allows. */
  readonly cpu: string | undefined;
  readonly profile: 'qemu' | 'qemu-legacy';
  readonly vmsaFeatures: string | undefined;
  /** MiB. */
  readonly memory: number;
  readonly disk: DiskDescription | undefined;
  /** Name or GUID of each secret, and the file with its bytes, `,nul` behind it as on the command line. */
  readonly secrets: readonly { readonly name: string; readonly file: string }[];
  readonly platformCerts: string | undefined;
  readonly root: string | undefined;
  /** Bit that encrypts, and bits that it costs, as the host's query-sev-capabilities says. */
  readonly cbitpos: number;
  readonly reducedPhysBits: number;
  /** The folder on the host that all files are copied to; undefined when they stay where they are. */
  readonly hostFolder: string | undefined;
}

const KEYS = [
  ...['name', 'platform', 'policy', 'minimum-api', 'firmware', 'accept-firmware', 'kernel', 'initrd', 'cmdline'],
  ...['vcpus', 'cpu', 'profile', 'vmsa-features', 'memory', 'disk', 'secrets', 'platform-certs', 'root'],
  ...['cbitpos', 'reduced-phys-bits', 'host-folder'],
];

const DEFAULTS = { name: 'guest', memory: 1024, cbitpos: 51, reducedPhysBits: 1 };

/**
 * Reads a description out of a tree of texts. Throws `format` and names the key when one is missing, unknown or of the wrong form, `usage`
 * for a policy, CPU or secret that nobody knows.
 */
export function parseDescription(value: unknown): LaunchDescription {
  const fields = new Fields(value, '');
  const platform = required(fields, 'platform', fields.choice('platform', ['sev', 'sev-es']));
  const policyText = required(fields, 'policy', fields.list('policy')).join(',');
  const cpu = fields.optionalText('cpu');
  if (cpu !== undefined) cpuModel(cpu);
  else if (platform === 'sev-es')
    throw wrong(
      'cpu',
      'SEV-ES measures the CPU model, so it is needed',
      "name the model that the host gives with QEMU's -cpu, such as EPYC-v4",
    );
  const description: LaunchDescription = {
    name: guestName(fields),
    platform,
    policyText,
    policy: parsePolicy(policyText),
    minimumApi: fields.optionalText('minimum-api'),
    firmware: file(fields, 'firmware') ?? missing(fields, 'firmware'),
    acceptFirmware: fields.optionalText('accept-firmware'),
    kernel: file(fields, 'kernel') ?? missing(fields, 'kernel'),
    initrd: file(fields, 'initrd'),
    cmdline: fields.optionalText('cmdline') ?? '',
    vcpus: fields.number('vcpus', 1, MAX_VCPUS) ?? 1,
    cpu,
    profile: fields.choice('profile', ['qemu', 'qemu-legacy']) ?? 'qemu',
    vmsaFeatures: features(fields),
    memory: memory(fields),
    disk: disk(fields.mapping('disk')),
    secrets: secrets(fields.mapping('secrets')),
    platformCerts: file(fields, 'platform-certs'),
    root: fields.list('root')?.join(','),
    cbitpos: fields.number('cbitpos', 32, 63) ?? DEFAULTS.cbitpos,
    reducedPhysBits: fields.number('reduced-phys-bits', 1, 31) ?? DEFAULTS.reducedPhysBits,
    hostFolder: hostFolder(fields),
  };
  fields.end(KEYS);
  return description;
}

function required<T>(fields: Fields, key: string, value: T | undefined): T {
  return value ?? missing(fields, key);
}

function missing(fields: Fields, key: string): never {
  throw wrong(fields.at(key), 'it is missing');
}

const NO_STREAM = 'it is read several times: write it to a file and name that';

/** Standard input is for people and pipes, not for a description that is read again later. */
function file(fields: Fields, key: string): string | undefined {
  const name = fields.optionalText(key);
  if (name === '-') throw wrong(fields.at(key), 'the name of a file is needed', NO_STREAM);
  return name;
}

function guestName(fields: Fields): string {
  const name = fields.optionalText('name') ?? DEFAULTS.name;
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return name;
  throw wrong('name', 'letters, digits and ".", "_", "-" are taken, 64 at most');
}

function memory(fields: Fields): number {
  const text = fields.optionalText('memory');
  if (text === undefined) return DEFAULTS.memory;
  const found = /^([1-9][0-9]{0,6})([MG])$/.exec(text);
  if (found === null) throw wrong('memory', 'a number of M or G is needed, such as 512M or 4G');
  return Number(found[1]) * (found[2] === 'G' ? 1024 : 1);
}

/** The same numbers as `--vmsa-features` takes; plain SEV, which measures none, would not look at them again. */
function features(fields: Fields): string | undefined {
  const text = fields.optionalText('vmsa-features');
  if (text === undefined || /^(0x[0-9a-f]{1,16}|[0-9]{1,19})$/i.test(text)) return text;
  throw wrong('vmsa-features', 'a number such as 1 or 0x1 is needed');
}

function disk(fields: Fields | undefined): DiskDescription | undefined {
  if (fields === undefined) return undefined;
  const image = file(fields, 'image') ?? missing(fields, 'image');
  const format = fields.choice('format', ['raw', 'qcow2']) ?? 'raw';
  const manifest = file(fields, 'manifest') ?? `${image}.json`;
  fields.end(['image', 'format', 'manifest']);
  return { image, format, manifest };
}

function secrets(fields: Fields | undefined): LaunchDescription['secrets'] {
  const found = (fields?.entries() ?? []).map(([name, file]) => ({ name, file }));
  for (const { name } of found) secretGuid(name);
  return found;
}

function hostFolder(fields: Fields): string | undefined {
  const folder = fields.optionalText('host-folder');
  if (folder === undefined || folder.startsWith('/')) return folder;
  throw wrong('host-folder', 'an absolute path is needed');
}
