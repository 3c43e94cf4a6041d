/** @module BootOrder and the boot options that it names, which OVMF measures even where it boots none of them. */
import { u16le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { EV, type PredictedEvent } from './events.ts';
import type { FirmwareBuild } from './firmware-build.ts';
import { uiAppOption } from './load-option.ts';

/** Contents by name: `BootOrder`, `Boot0000` and so on, with the digits in capitals. */
export type BootVariables = ReadonlyMap<string, Uint8Array>;

const ORDER = 'BootOrder';

/**
 * Returns the events of the variables in `given`. What is not given is what a machine has on which OVMF has found nothing to boot:
 * its own menu alone, as Boot0000. Throws `usage` for options that do not go with the order, `format` for an order of odd length.
 */
export function bootVariableEvents(
  given: BootVariables,
  { onlyUiApp }: Pick<FirmwareBuild, 'onlyUiApp'>,
  { sha384 }: Pick<Hashes, 'sha384'>,
): readonly PredictedEvent[] {
  const event = (name: string, data: Uint8Array): PredictedEvent => ({
    rtmr: 0,
    type: EV.variableBoot,
    name: `variable ${name}`,
    digest: new Uint8Array(sha384(data)),
    missing: undefined,
  });
  const order = given.get(ORDER) ?? (onlyUiApp ? new Uint8Array(u16le.size) : undefined);
  if (order === undefined) {
    if (given.size > 0) throw refusal(`${[...given.keys()].join(', ')} without ${ORDER}`, 'give BootOrder as well');
    return [{ rtmr: 0, type: EV.variableBoot, name: `variable ${ORDER}`, digest: undefined, missing: OTHER_MENU }];
  }
  const names = optionsOf(order);
  const idle = [...given.keys()].find((name) => name !== ORDER && !names.includes(name));
  if (idle !== undefined) throw refusal(`${idle} is not in ${ORDER}`, 'leave it out, or give the order that names it');
  return [
    event(ORDER, order),
    ...names.map((name) => {
      const data = given.get(name) ?? (name === 'Boot0000' && onlyUiApp ? uiAppOption() : undefined);
      if (data === undefined) throw refusal(`${ORDER} names ${name}, which is not given`, 'give its contents as well');
      return event(name, data);
    }),
  ];
}

const OTHER_MENU = 'BootOrder and the boot options of this firmware are not given';

function optionsOf(order: Uint8Array): readonly string[] {
  if (order.length === 0 || order.length % u16le.size !== 0) {
    throw new BootsealError('format', `${ORDER} of ${order.length} bytes is no list of 16-bit numbers`, {
      hint: 'give the contents of the variable alone: a file of efivarfs has four bytes of attributes before them',
    });
  }
  return Array.from({ length: order.length / u16le.size }, (_, i) => {
    const number = u16le.decode(order, i * u16le.size, ORDER);
    return `Boot${number.toString(16).toUpperCase().padStart(4, '0')}`;
  });
}

function refusal(message: string, hint: string): BootsealError {
  return new BootsealError('usage', message, { hint });
}
