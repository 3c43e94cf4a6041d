/**
 * @module How firmware results are shown. Bytes of an image reach the terminal only as hexadecimal digits and numbers; every
 * name is one of ours.
 */
import { address } from '../core/firmware/descriptor.ts';
import type { Area } from '../core/firmware/firmware.ts';
import { FOOTER_ENTRIES } from '../core/firmware/footer.ts';
import { CONTENTS, type Inspection } from '../core/firmware/inspect.ts';
import { FIRMWARE_CLASSES, type FirmwareLint } from '../core/firmware/lint.ts';
import { FEATURES } from '../core/firmware/serves.ts';
import { SEV_SECTION_NAMES } from '../core/firmware/sev-metadata.ts';
import type { Verdict } from '../core/firmware/starts.ts';
import { TDX_SECTION_NAMES } from '../core/firmware/tdx-metadata.ts';
import { FILE_SYSTEM } from '../core/firmware/volume.ts';
import type { Guid } from '../core/guid.ts';
import { bytesToHex } from '../core/hex.ts';
import type { Platform } from '../core/measurement/measure.ts';

/** Whether an image can start on the platform that was asked for. */
export interface Start {
  readonly platform: Platform;
  readonly verdict: Verdict;
}

const footerName = (guid: Guid) => Object.values(FOOTER_ENTRIES).find((entry) => entry.guid === guid)?.name ?? null;

const FILE_SYSTEM_NAMES: Readonly<Record<Guid, string>> = {
  [FILE_SYSTEM.ffs2]: 'files',
  [FILE_SYSTEM.ffs3]: 'files',
  [FILE_SYSTEM.variables]: 'variables',
};

/** Returns the object of `firmware inspect --json`; docs/firmware.md documents its keys. */
export function inspectionJson(inspection: Inspection, sha256: string): object {
  const { firmware, lint } = inspection;
  const area = (one: Area | undefined) => (one === undefined ? null : { base: address(one.base), size: one.size });
  return {
    firmware: { sha256, bytes: firmware.size },
    contents: inspection.contents,
    gpa: address(firmware.gpa),
    resetAddress: firmware.resetAddress === undefined ? null : address(firmware.resetAddress),
    hashArea: area(firmware.hashArea),
    secretArea: area(firmware.secretArea),
    svsmEntry: firmware.svsmEntry ?? null,
    footer: firmware.footer.map(({ guid, data }) => ({ guid, name: footerName(guid), data: bytesToHex(data) })),
    sevSections:
      firmware.sevSections?.map(({ gpa, size, type }) => ({
        name: SEV_SECTION_NAMES[type] ?? null,
        type,
        gpa: address(gpa),
        size,
      })) ?? null,
    tdxSections:
      firmware.tdxSections?.map((section) => ({
        name: TDX_SECTION_NAMES[section.type] ?? null,
        type: section.type,
        gpa: address(section.gpa),
        memorySize: address(section.memorySize),
        dataOffset: section.dataOffset,
        rawSize: section.rawSize,
        attributes: section.attributes,
      })) ?? null,
    volumes: inspection.volumes.map(({ at, content, fileSystem }) => ({
      offset: at,
      bytes: content.length,
      fileSystem,
      name: FILE_SYSTEM_NAMES[fileSystem] ?? null,
    })),
    serves: inspection.verdicts,
    lint: lint === undefined ? null : { class: lint.class, findings: lint.findings, advice: lint.advice },
    lintProblem: inspection.lintProblem ?? null,
  };
}

/** Returns the same for people. */
export function inspectionText(inspection: Inspection, sha256: string): string {
  const { firmware } = inspection;
  const area = (one: Area | undefined) => (one === undefined ? 'none' : `${address(one.base)}, ${one.size} bytes`);
  const reset = firmware.resetAddress;
  return [
    ...table([
      ['size', `${firmware.size} bytes`],
      ['sha256', sha256],
      ['contents', CONTENTS[inspection.contents]],
      ['guest memory', `${address(firmware.gpa)} to ${address(firmware.gpa + firmware.size - 1)}`],
      ['reset address', reset === undefined ? 'none' : `${address(reset)} (where further vCPUs start)`],
      ['hash area', area(firmware.hashArea)],
      ['secret area', area(firmware.secretArea)],
      ...(firmware.svsmEntry === undefined ? [] : [['SVSM entry', `byte ${firmware.svsmEntry}`]]),
    ]),
    ...block(
      'footer table, from the end',
      firmware.footer.map(({ guid, data }) => [guid, footerName(guid) ?? 'unknown', shortHex(data)]),
    ),
    ...block(
      'SEV metadata',
      (firmware.sevSections ?? []).map(({ gpa, size, type }) => [
        SEV_SECTION_NAMES[type] ?? `unknown type ${address(type)}`,
        address(gpa),
        `${size} bytes`,
      ]),
    ),
    ...block(
      'TDX metadata',
      (firmware.tdxSections ?? []).map((section) => [
        TDX_SECTION_NAMES[section.type] ?? `unknown type ${address(section.type)}`,
        address(section.gpa),
        `${section.memorySize} bytes`,
        section.rawSize === 0 ? '' : `from byte ${section.dataOffset} of the full image`,
      ]),
    ),
    ...block(
      'firmware volumes',
      inspection.volumes.map(({ at, content, fileSystem }) => [
        `byte ${at}`,
        `${content.length} bytes`,
        FILE_SYSTEM_NAMES[fileSystem] ?? fileSystem,
      ]),
    ),
    '',
    'serves',
    ...Object.entries(inspection.verdicts).flatMap(([key, verdict]) =>
      verdictLines(FEATURES[key as keyof typeof FEATURES], verdict),
    ),
    '',
    ...(inspection.lint === undefined
      ? [`lint: not possible, ${inspection.lintProblem}`]
      : [`lint: ${FIRMWARE_CLASSES[inspection.lint.class]}`]),
    '',
  ].join('\n');
}

/** Returns the object of `firmware lint --json`; docs/firmware.md documents its keys. */
export function lintJson(
  firmware: { readonly sha256: string; readonly bytes: number },
  lint: FirmwareLint,
  start: Start | undefined,
): object {
  return {
    firmware,
    class: lint.class,
    findings: lint.findings,
    advice: lint.advice,
    platform: start === undefined ? null : { name: start.platform, ...start.verdict },
  };
}

/** Returns the same for people. */
export function lintText(lint: FirmwareLint, start: Start | undefined): string {
  return [
    `class: ${FIRMWARE_CLASSES[lint.class]}`,
    ...lint.findings.map((finding) => `  - ${finding.text}`),
    ...(start === undefined ? [] : verdictLines(start.platform, start.verdict)),
    `advice: ${lint.advice}`,
    '',
  ].join('\n');
}

function verdictLines(name: string, { answer, reason, advice }: Verdict): readonly string[] {
  const first = `  ${name.padEnd(15)}${answer}`;
  return [
    reason === undefined ? first : `${first}: ${reason}`,
    ...(advice === undefined ? [] : [`${' '.repeat(17)}${advice}`]),
  ];
}

/** Hexadecimal digits of at most 32 bytes. */
function shortHex(data: Uint8Array): string {
  return data.length <= 32 ? bytesToHex(data) : `${bytesToHex(data.subarray(0, 32))}... (${data.length} bytes)`;
}

function block(title: string, rows: readonly (readonly string[])[]): readonly string[] {
  return rows.length === 0 ? [] : ['', title, ...table(rows).map((row) => `  ${row}`)];
}

/** Aligns the columns of all rows. */
function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
