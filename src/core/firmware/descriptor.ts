/**
 * @module The firmware descriptor: what an SNP measurement needs to know of a firmware image, in a page of JSON instead of
 * megabytes. Reads also the form of virtee/sev-snp-measure-go (ovmf/ovmf.go: OVMFHash, MetadataItems, ResetEIP).
 */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { bytesToHex, hexToBytes } from '../hex.ts';
import { isObject, type JsonFields } from '../json-fields.ts';
import { PAGE_SIZE, snpFirmwareDigest } from '../measurement/snp.ts';
import { type Area, type Firmware, MAX_FIRMWARE_BYTES, parseFirmware, type SevSection } from './firmware.ts';
import { checkStart } from './starts.ts';

/** The first key of our own form. */
const FORMAT = 'bootseal-firmware-1';

/** A firmware image without its bytes. */
export interface FirmwareDescriptor {
  /** 64 hexadecimal digits; undefined in the form of sev-snp-measure-go, which does not have it. */
  readonly sha256: string | undefined;
  /** 48 bytes: the SNP launch digest after the image's pages. */
  readonly snpDigest: Uint8Array;
  /** Without footer entries and TDX sections. In the form of sev-snp-measure-go, `size` and `gpa` are 0: it does not say. */
  readonly firmware: Firmware;
}

/** Describes an image. Throws `format` when it cannot start under SNP. */
export function describeFirmware(image: Uint8Array, hashes: Hashes): FirmwareDescriptor {
  const firmware = parseFirmware(image);
  if (firmware.sevSections === undefined) {
    throw new BootsealError('format', 'the firmware has no SEV metadata, so there is nothing to describe for SNP', {
      hint: 'SEV and SEV-ES are measured from the image itself; for SNP build OvmfPkg/AmdSev/AmdSevX64.dsc',
    });
  }
  checkStart(firmware, 'snp');
  return {
    sha256: bytesToHex(hashes.sha256(image)),
    snpDigest: snpFirmwareDigest(image, firmware.gpa, hashes),
    firmware: { ...firmware, footer: [], tdxSections: undefined },
  };
}

/** Returns the descriptor as JSON text. */
export function printDescriptor({ sha256, snpDigest, firmware }: FirmwareDescriptor): string {
  const area = (one: Area | undefined) => (one === undefined ? null : { base: address(one.base), size: one.size });
  const text = {
    format: FORMAT,
    sha256,
    bytes: firmware.size,
    snpDigest: bytesToHex(snpDigest),
    resetAddress: firmware.resetAddress === undefined ? null : address(firmware.resetAddress),
    hashArea: area(firmware.hashArea),
    secretArea: area(firmware.secretArea),
    sevSections: (firmware.sevSections ?? []).map(({ gpa, size, type }) => ({ gpa: address(gpa), size, type })),
  };
  return `${JSON.stringify(text, null, 2)}\n`;
}

/** Returns an address as `0x` and hexadecimal digits. */
export function address(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

const HINT = 'make it again of the image, with `bootseal firmware inspect --descriptor`';

/**
 * Says whether a file given as firmware is a descriptor: it starts with a brace, which some editors put a byte order mark before,
 * and no JSON has a NUL, which every image has.
 */
export function isDescriptor(file: Uint8Array): boolean {
  const text = BYTE_ORDER_MARK.every((byte, i) => file[i] === byte) ? file.subarray(BYTE_ORDER_MARK.length) : file;
  const start = text.findIndex((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
  return text[start] === 0x7b && !text.includes(0);
}

/** U+FEFF in UTF-8. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Reads either form. Throws `format` and names the key when anything is missing, unknown or of the wrong form. */
export function parseDescriptor(text: string): FirmwareDescriptor {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BootsealError('format', 'firmware descriptor: not JSON', { hint: HINT, cause });
  }
  return isObject(value) && Object.hasOwn(value, 'OVMFHash') ? foreign(value) : own(value);
}

function own(value: unknown): FirmwareDescriptor {
  const where = 'firmware descriptor';
  const keys = ['format', 'sha256', 'bytes', 'snpDigest', 'resetAddress', 'hashArea', 'secretArea', 'sevSections'];
  const found = object(value, where, keys);
  if (found['format'] !== FORMAT) throw wrong(`${where}.format`);
  const size = unsigned(found['bytes'], `${where}.bytes`);
  if (size === 0 || size > MAX_FIRMWARE_BYTES || size % PAGE_SIZE !== 0) throw wrong(`${where}.bytes`);
  const sections = list(found['sevSections'], `${where}.sevSections`, (item, at): SevSection => {
    const section = object(item, at, ['gpa', 'size', 'type']);
    return {
      gpa: readAddress(section['gpa'], `${at}.gpa`),
      size: unsigned(section['size'], `${at}.size`),
      type: unsigned(section['type'], `${at}.type`),
    };
  });
  const reset = found['resetAddress'];
  return {
    sha256: bytesToHex(digits(found['sha256'], 32, `${where}.sha256`)),
    snpDigest: digits(found['snpDigest'], 48, `${where}.snpDigest`),
    firmware: {
      ...NOTHING,
      size,
      gpa: 2 ** 32 - size,
      resetAddress: reset === null ? undefined : readAddress(reset, `${where}.resetAddress`),
      hashArea: area(found['hashArea'], `${where}.hashArea`),
      secretArea: area(found['secretArea'], `${where}.secretArea`),
      sevSections: sections,
    },
  };
}

function foreign(value: unknown): FirmwareDescriptor {
  const where = 'firmware metadata';
  const found = object(value, where, ['OVMFHash', 'MetadataItems', 'ResetEIP']);
  const sections = list(found['MetadataItems'], `${where}.MetadataItems`, (item, at): SevSection => {
    const section = object(item, at, ['GPA', 'Size', 'SectionTypeInt']);
    return {
      gpa: readAddress(section['GPA'], `${at}.GPA`),
      size: readAddress(section['Size'], `${at}.Size`),
      type: unsigned(section['SectionTypeInt'], `${at}.SectionTypeInt`),
    };
  });
  return {
    sha256: undefined,
    snpDigest: digits(found['OVMFHash'], 48, `${where}.OVMFHash`),
    firmware: {
      ...NOTHING,
      resetAddress: readAddress(found['ResetEIP'], `${where}.ResetEIP`),
      sevSections: sections,
    },
  };
}

const NOTHING: Firmware = {
  size: 0,
  gpa: 0,
  footer: [],
  resetAddress: undefined,
  hashArea: undefined,
  secretArea: undefined,
  sevSections: undefined,
  tdxSections: undefined,
  svsmEntry: undefined,
};

function area(value: unknown, where: string): Area | undefined {
  if (value === null) return undefined;
  const found = object(value, where, ['base', 'size']);
  const base = readAddress(found['base'], `${where}.base`);
  const size = unsigned(found['size'], `${where}.size`);
  if (base === 0 || size === 0) throw wrong(where);
  return { base, size };
}

function readAddress(value: unknown, where: string): number {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,8}$/i.test(value)) throw wrong(where);
  return Number(value);
}

function unsigned(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xffffffff) throw wrong(where);
  return value;
}

function digits(value: unknown, size: number, where: string): Uint8Array {
  if (typeof value !== 'string' || !/^[0-9a-f]*$/i.test(value) || value.length !== 2 * size) throw wrong(where);
  return hexToBytes(value);
}

function list<T>(value: unknown, where: string, read: (item: unknown, where: string) => T): readonly T[] {
  if (!Array.isArray(value) || value.length === 0) throw wrong(where);
  return value.map((item: unknown, i) => read(item, `${where}[${i}]`));
}

function object(value: unknown, where: string, keys: readonly string[]): JsonFields {
  if (!isObject(value)) throw wrong(where);
  for (const key of keys) if (!Object.hasOwn(value, key)) throw wrong(`${where}.${key}`);
  const extra = Object.keys(value).find((key) => !keys.includes(key));
  if (extra !== undefined)
    throw new BootsealError('format', `${where}: unknown key ${printable(extra)}`, { hint: HINT });
  return value;
}

function wrong(where: string): BootsealError {
  return new BootsealError('format', `${where}: missing or of the wrong form`, { hint: HINT });
}

/** Terminals obey more than the control characters that JSON escapes. */
function printable(text: string): string {
  return JSON.stringify(text.slice(0, 64)).replace(/[^\x20-\x7e]/g, '?');
}
