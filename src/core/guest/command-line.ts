/** @module What the measured kernel command line tells a guest. */
import { BootsealError } from '../errors.ts';
import type { Area } from '../firmware/firmware.ts';
import { MAX_PAYLOAD } from '../secret/limits.ts';
import { TableHead } from '../secret/table.ts';

/** Physical addresses have at most 52 bits. */
const ADDRESSES = 2 ** 52;

const PARAMETER = 'bootseal.secret';

/** As templates/guest/secrets.sh takes it; no zero before a decimal number, which a shell would take for an octal one. */
const NUMBER = '0x[0-9a-fA-F]{1,13}|0|[1-9][0-9]{0,14}';

/**
 * Returns the secret area that `bootseal.secret=BASE,SIZE` names, both as 0x… or decimal; undefined when the command line has no
 * such word. A second one is refused: a command line has one meaning. As for Linux's driver, an area may have any size from a
 * header on (linux drivers/virt/coco/efi_secret/efi_secret.c); LAUNCH_SECRET begins at multiples of 16 only.
 *
 * @throws `format`
 */
export function secretAreaOf(commandLine: string): Area | undefined {
  const words = commandLine.split(/[\s\0]+/).filter((word) => word.startsWith(`${PARAMETER}=`));
  const word = words[0];
  if (word === undefined) return undefined;
  if (words.length > 1) throw refusal(`stands ${words.length} times on it`);
  const numbers = new RegExp(`^(${NUMBER}),(${NUMBER})$`).exec(word.slice(PARAMETER.length + 1));
  if (numbers === null) throw refusal('is not of the form 0x810000,0xc00');
  const [base, size] = [Number(numbers[1]), Number(numbers[2])];
  if (base === 0 || base % 16 !== 0 || base >= ADDRESSES - MAX_PAYLOAD) {
    throw refusal(`names 0x${base.toString(16)}, where no secret area begins`);
  }
  if (size < TableHead.size || size > MAX_PAYLOAD)
    throw refusal(`names an area of ${size} bytes: ${TableHead.size} to ${MAX_PAYLOAD} are possible`);
  return { base, size };
}

function refusal(what: string): BootsealError {
  return new BootsealError('format', `kernel command line: ${PARAMETER} ${what}`, {
    hint: 'it takes the secret area of the firmware, as `bootseal firmware inspect` shows it: ADDRESS,SIZE',
  });
}
