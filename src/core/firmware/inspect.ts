/** @module Everything that can be said about a firmware image without running it. */
import { BootsealError } from '../errors.ts';
import { type Firmware, parseFirmware } from './firmware.ts';
import { type FirmwareLint, lintFirmware } from './lint.ts';
import { assessFirmware, type Verdicts } from './serves.ts';
import { FILE_SYSTEM, findVolumes, type Volume } from './volume.ts';

/** What kind of file an image is. */
export const CONTENTS = {
  full: 'full image: variable store and code',
  'code-only': 'code without its variable store',
  'variables-only': 'variable store without code',
  svsm: 'SVSM binary',
  'no-volumes': 'no firmware volume: the end of an image, or not built by edk2',
} as const;

/** What was found in an image. */
export interface Inspection {
  readonly firmware: Firmware;
  readonly contents: keyof typeof CONTENTS;
  readonly volumes: readonly Pick<Volume, 'at' | 'content' | 'fileSystem'>[];
  readonly verdicts: Verdicts;
  /** Absent when the content cannot be read; `lintProblem` says why. */
  readonly lint: FirmwareLint | undefined;
  readonly lintProblem: string | undefined;
}

/** Inspects an image. Throws `format` when its tables or the headers of its volumes are damaged; unreadable content is an answer. */
export function inspectFirmware(image: Uint8Array): Inspection {
  const firmware = parseFirmware(image);
  const volumes = findVolumes(image);
  const { lint, lintProblem } = tryLint(image);
  return {
    firmware,
    contents: contents(firmware, volumes),
    volumes,
    verdicts: assessFirmware(image, firmware, lint),
    lint,
    lintProblem,
  };
}

function tryLint(image: Uint8Array): Pick<Inspection, 'lint' | 'lintProblem'> {
  try {
    return { lint: lintFirmware(image), lintProblem: undefined };
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return { lint: undefined, lintProblem: error.message };
  }
}

function contents(firmware: Firmware, volumes: readonly Volume[]): Inspection['contents'] {
  if (firmware.svsmEntry !== undefined) return 'svsm';
  const variables = volumes.filter((volume) => volume.fileSystem === FILE_SYSTEM.variables);
  if (volumes.length === 0) return 'no-volumes';
  if (variables.length === volumes.length) return 'variables-only';
  return variables.length > 0 ? 'full' : 'code-only';
}
