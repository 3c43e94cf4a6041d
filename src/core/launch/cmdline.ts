/** @module The command line of a guest that reads secrets: what the owner wrote, and where the guest finds its disk's header and secrets. */
import { BootsealError } from '../errors.ts';
import type { Area } from '../firmware/firmware.ts';
import { encodeUtf8 } from '../utf8.ts';

/** Names of what is added. The guest believes it because the command line is measured. */
export const PARAMETER = { secret: 'bootseal.secret', header: 'bootseal.header' } as const;

/** What x86 kernels keep of a command line, COMMAND_LINE_SIZE less its end, and what the firmware puts before it; bytes. */
const KERNEL_LIMIT = 2047 - 'initrd=initrd '.length;

/** What a command line is to tell. */
export interface CmdlineInputs {
  readonly cmdline: string;
  /** The firmware's secret area; undefined when the guest is given no secret. */
  readonly secretArea: Area | undefined;
  /** SHA-256 of the disk's header, 64 digits; undefined without a disk. */
  readonly headerSha256: string | undefined;
}

/** Returns the command line that is measured. Throws `usage` when it says already what is to be added, or is longer than kernels keep. */
export function guestCmdline({ cmdline, secretArea, headerSha256 }: CmdlineInputs): string {
  for (const name of Object.values(PARAMETER)) {
    if (cmdline.includes(`${name}=`)) {
      throw new BootsealError('usage', `cmdline: ${name} is put there by launch prepare`, {
        hint: 'leave it out: of two the guest would have to choose one',
      });
    }
  }
  const hex = (value: number) => `0x${value.toString(16)}`;
  const parts = [
    cmdline,
    secretArea === undefined ? '' : `${PARAMETER.secret}=${hex(secretArea.base)},${hex(secretArea.size)}`,
    headerSha256 === undefined ? '' : `${PARAMETER.header}=${headerSha256}`,
  ];
  const text = parts.filter((part) => part !== '').join(' ');
  const { length } = encodeUtf8(text);
  if (length > KERNEL_LIMIT) {
    throw new BootsealError('usage', `cmdline: ${length} bytes, of which a kernel keeps ${KERNEL_LIMIT}`);
  }
  return text;
}
