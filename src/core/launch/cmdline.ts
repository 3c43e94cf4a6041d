/** @module The command line of a guest that reads secrets: what the owner wrote, and where the guest finds its disk's header and secrets. */
import { BootsealError } from '../errors.ts';
import type { Area } from '../firmware/firmware.ts';
import { DISK_PASSPHRASE } from '../secret/names.ts';
import { encodeUtf8 } from '../utf8.ts';
import type { DiskManifest } from './disk-manifest.ts';

/** Names of what is added. The guest believes it because the command line is measured. */
export const PARAMETER = { secret: 'bootseal.secret', header: 'bootseal.header' } as const;
/** Names of what is added where the owner did not choose otherwise. */
const CHOICE = { disk: 'bootseal.disk', key: 'bootseal.key' } as const;

/** What x86 kernels keep of a command line, COMMAND_LINE_SIZE less its end, and what the firmware puts before it; bytes. */
const KERNEL_LIMIT = 2047 - 'initrd=initrd '.length;

/** What a command line is to tell. */
export interface CmdlineInputs {
  readonly cmdline: string;
  /** The firmware's secret area; undefined when the guest is given no secret. */
  readonly secretArea: Area | undefined;
  /** Undefined without a disk. */
  readonly disk: Pick<DiskManifest, 'uuid' | 'header' | 'keyGuid'> | undefined;
}

/** Returns the command line that is measured. Throws `usage` when it says already what is to be added, or is longer than kernels keep. */
export function guestCmdline({ cmdline, secretArea, disk }: CmdlineInputs): string {
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
    ...(disk === undefined ? [] : diskWords(cmdline, disk)),
  ];
  const text = parts.filter((part) => part !== '').join(' ');
  const { length } = encodeUtf8(text);
  if (length > KERNEL_LIMIT) {
    throw new BootsealError('usage', `cmdline: ${length} bytes, of which a kernel keeps ${KERNEL_LIMIT}`, {
      hint: 'leave words out of cmdline: the kernel would lose the last ones without saying so',
    });
  }
  return text;
}

/** The guest finds the disk by what stands in its header, and believes it by the hash alone. */
function diskWords(cmdline: string, { uuid, header, keyGuid }: NonNullable<CmdlineInputs['disk']>): string[] {
  const isChosen = (name: string) => cmdline.split(/\s/).some((word) => word.startsWith(`${name}=`));
  return [
    isChosen(CHOICE.disk) ? '' : `${CHOICE.disk}=UUID=${uuid}`,
    isChosen(CHOICE.key) || keyGuid === DISK_PASSPHRASE ? '' : `${CHOICE.key}=${keyGuid}`,
    `${PARAMETER.header}=${header.sha256},${header.bytes}`,
  ];
}
