/**
 * @module The QMP commands of SEV, answered from the lab's PSP with the schema and the words of a QEMU on SEV hardware (qemu/qemu
 * qapi/misc-target.json, target/i386/sev.c and monitor.c; qapi/qobject-input-visitor.c for arguments).
 */
import type { FrontCommands } from './front.ts';
import type { PspGuest } from './psp/guest.ts';
import type { LabPlatform } from './psp/platform.ts';
import { FirmwareError } from './psp/status.ts';
import { QmpFailure } from './qmp-input.ts';

/** What the commands speak about. */
export interface SevMachine {
  readonly platform: LabPlatform;
  readonly guest: PspGuest;
  /** Where the firmware's secret area begins, if it has one. */
  readonly secretArea: number | undefined;
  /** Bytes of RAM, which begins at address 0. */
  readonly ram: number;
  /** QEMU 9.1 and later also say which SEV it is. */
  readonly saysType: boolean;
}

/** What the lab's host says of its processors: encryption bit 51 as on Milan and later. */
export const HOST = { cbitpos: 51, 'reduced-phys-bits': 1 } as const;

const GUEST_HANDLE = 1;
/** QEMU prints the state as a number. */
const STATE_NUMBER = { uninit: 0, 'launch-update': 1, 'launch-secret': 2, running: 3 } as const;
/** Below 1 MiB lies more than RAM: the video memory and the firmware's shadow. */
const HOLE = { start: 0xa0000, end: 0x100000 };

type Arguments = Readonly<Record<string, unknown>>;
type Kind = 'string' | 'integer';

/** Returns the commands by name. */
export function sevCommands(machine: SevMachine): FrontCommands {
  return new Map<string, (args: Arguments) => unknown>([
    ['query-sev', (args) => query(machine, check(args, {}))],
    ['query-sev-capabilities', (args) => capabilities(machine, check(args, {}))],
    ['query-sev-launch-measure', (args) => launchMeasure(machine, check(args, {}))],
    ['query-sev-attestation-report', (args) => report(machine, check(args, { mnonce: 'string' }))],
    [
      'sev-inject-launch-secret',
      (args) => inject(machine, check(args, { 'packet-header': 'string', secret: 'string' }, { gpa: 'integer' })),
    ],
  ]);
}

function query({ platform, guest, saysType }: SevMachine, _: Arguments): object {
  const { major, minor, build } = platform.api;
  return {
    enabled: true,
    'api-major': major,
    'api-minor': minor,
    'build-id': build,
    policy: guest.policy,
    state: guest.state,
    handle: GUEST_HANDLE,
    ...(saysType ? { 'sev-type': 'sev' } : {}),
  };
}

/** As from a real platform, without AMD's signature under the CEK: that one is asked of AMD, here of the lab's folder. */
function capabilities({ platform: { chain } }: SevMachine, _: Arguments): object {
  const cek = Buffer.from(chain.cek);
  for (const at of [0x414, 0x61c]) {
    cek.fill(0, at, at + 520);
    cek.writeUInt32LE(0x1000, at);
  }
  return {
    pdh: base64(chain.pdh),
    'cert-chain': base64(Buffer.concat([chain.pek, chain.oca, cek])),
    'cpu0-id': base64(Buffer.from('bootseal lab, not a processor of AMD'.padEnd(64))),
    ...HOST,
  };
}

function launchMeasure({ guest }: SevMachine, _: Arguments): object {
  if (guest.measured === undefined) throw new QmpFailure('SEV launch measurement is not available');
  return { data: base64(guest.measured.blob) };
}

function report({ guest }: SevMachine, { mnonce }: Arguments): object {
  const nonce = decode(String(mnonce));
  if (nonce.length !== 16) throw new QmpFailure(`SEV: mnonce must be 16 bytes (got ${nonce.length})`);
  return { data: base64(firmware('failed to query the attestation report length', () => guest.attestation(nonce))) };
}

function inject({ guest, secretArea, ram }: SevMachine, args: Arguments): void {
  const gpa = (args['gpa'] as number | undefined) ?? secretArea;
  if (gpa === undefined) throw new QmpFailure('SEV: no secret area found in OVMF, gpa must be specified.');
  if (guest.state !== 'launch-secret') {
    throw new QmpFailure(`SEV: Not in correct state. (LSECRET) ${STATE_NUMBER[guest.state].toString(16)}`);
  }
  const header = decode(String(args['packet-header']));
  if (header.length === 0) throw new QmpFailure('SEV: Failed to decode sequence header');
  const payload = decode(String(args['secret']));
  if (payload.length === 0) throw new QmpFailure('SEV: Failed to decode data');
  checkRam(gpa, payload.length, ram);
  firmware('SEV: failed to inject secret', () => guest.launchSecret(header, payload, gpa));
}

function checkRam(gpa: number, length: number, ram: number): void {
  const end = gpa + length;
  if (gpa >= 0 && end <= ram && (end <= HOLE.start || gpa >= HOLE.end)) return;
  const address = `0x${Math.max(gpa, 0).toString(16)}`;
  const reason =
    gpa >= HOLE.start && gpa < HOLE.end
      ? `Memory at address ${address} is not RAM`
      : `No memory is mapped at address ${address}`;
  throw new QmpFailure(`SEV: Failed to calculate guest address: ${reason}`);
}

/** Runs a command of the PSP; what it refuses becomes QEMU's words. */
function firmware<T>(what: string, command: () => T): T {
  try {
    return command();
  } catch (error) {
    if (!(error instanceof FirmwareError)) throw error;
    throw new QmpFailure(`${what} ret=-5 fw_error=${error.code} '${error.words}'`);
  }
}

function check(
  args: Arguments,
  required: Readonly<Record<string, Kind>>,
  optional: Readonly<Record<string, Kind>> = {},
): Arguments {
  for (const [name, kind] of Object.entries({ ...required, ...optional })) {
    const value = args[name];
    if (value === undefined) {
      if (Object.hasOwn(required, name)) throw new QmpFailure(`Parameter '${name}' is missing`);
      continue;
    }
    const fits = kind === 'string' ? typeof value === 'string' : Number.isInteger(value);
    if (fits) continue;
    throw new QmpFailure(
      kind === 'string'
        ? `Invalid parameter type for '${name}', expected: string`
        : `Parameter '${name}' expects uint64`,
    );
  }
  const unknown = Object.keys(args).find((name) => !Object.hasOwn(required, name) && !Object.hasOwn(optional, name));
  if (unknown !== undefined) throw new QmpFailure(`Parameter '${unknown}' is unexpected`);
  return args;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** As glib's decoder: what is not of the alphabet is skipped, and so is what does not fill a group of four. */
function decode(text: string): Buffer {
  const letters = text.replaceAll(/[^A-Za-z0-9+/=]/g, '');
  return Buffer.from(letters.slice(0, letters.length - (letters.length % 4)), 'base64');
}
