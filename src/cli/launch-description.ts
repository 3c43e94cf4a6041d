/** @module Reading `launch.yaml`, and what commands make of it. */
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { guestCmdline } from '../core/launch/cmdline.ts';
import { type LaunchDescription, parseDescription } from '../core/launch/description.ts';
import { parseRoots } from '../core/session/amd-roots.ts';
import { decodeUtf8 } from '../core/utf8.ts';
import { readSmallFile } from '../host/files.ts';
import { parseYaml } from '../host/yaml.ts';
import { readFirmware } from './firmware-input.ts';
import { type Io, resolvePath } from './io.ts';
import { describedDisk } from './launch-disk.ts';
import type { SessionOptions } from './session-create.ts';

/** Nobody writes more by hand; bytes. */
const LIMIT = 1 << 16;

/** A description, and the world in which its relative paths are right. */
export interface ReadDescription {
  readonly description: LaunchDescription;
  readonly io: Io;
}

/** Reads the file; throws `io`, and `format` or `usage` as parseDescription in messages that name the file. */
export async function readDescription(io: Io, file: string): Promise<ReadDescription> {
  const resolved = resolvePath(io, file);
  const text = decodeUtf8(await readSmallFile(resolved, LIMIT), file);
  try {
    const description = parseDescription(await parseYaml(text, file));
    return { description, io: { ...io, cwd: path.dirname(resolved) } };
  } catch (error) {
    if (!(error instanceof BootsealError) || error.message.startsWith(file)) throw error;
    const { kind, message, hint } = error;
    throw new BootsealError(kind, `${file}: ${message}`, { hint, cause: error });
  }
}

/**
 * Returns the command line that the guest of a description is measured with.
 *
 * @param lab whether it is a rehearsal, in which a disk may be one whose keys follow from a seed
 * @throws as guestCmdline and describedDisk; `io` and `format` for the firmware, `usage` for one without a secret area
 */
export async function describedCmdline({ description, io }: ReadDescription, lab: boolean): Promise<string> {
  const { cmdline, disk, secrets, firmware } = description;
  const givesSecrets = secrets.length > 0 || disk !== undefined;
  const secretArea = givesSecrets ? (await readFirmware(io, firmware)).firmware.secretArea : undefined;
  if (givesSecrets && secretArea === undefined) {
    throw new BootsealError('usage', 'the firmware has no secret area: the guest would get no secret', {
      hint: 'use a build that has one, such as OVMF of the AmdSev kind',
    });
  }
  return guestCmdline({
    cmdline,
    secretArea,
    disk: disk === undefined ? undefined : await describedDisk(io, disk, lab),
  });
}

/** Returns the description as options of `session create`. */
export function sessionOptions(
  description: LaunchDescription,
  cmdline: string,
): Omit<SessionOptions, 'out' | 'json' | 'force'> {
  const { platform, policyText, firmware, kernel, initrd, minimumApi, acceptFirmware, platformCerts, vmsaFeatures } =
    description;
  const { vcpus, cpu, profile, root } = description;
  const es = platform === 'sev' ? {} : given({ vcpus: `${vcpus}`, cpu, profile, vmsaFeatures });
  return {
    ...{ platform, policy: policyText, firmware, kernel, cmdline },
    ...given({ initrd, minimumApi, acceptFirmware, platformCerts }),
    ...(root === undefined ? {} : { root: parseRoots(root) }),
    ...es,
  };
}

/** Leaves out what is not given. */
function given<T extends Readonly<Record<string, string | undefined>>>(options: T): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: string;
  };
}
