/** @module `bootseal image repair`: what an interrupted change of keys left is brought to an end. */
import { Command } from 'commander';
import { addChangeOptions, type ChangeOptions, changeKeys, reportChange } from './image-key-change.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function imageRepairCommand(io: Io): Command {
  return addChangeOptions(
    new Command('repair')
      .summary('bring an interrupted change of keys to an end')
      .description(
        'Write the copy of a LUKS2 header that is broken or older anew from the good one, finish the removal of a key that began, and pin the header in the manifest again. No key is needed. Where both copies are good and differ, nothing is done: no interruption leaves that.',
      )
      .argument('<image>', 'image'),
  )
    .addHelpText(
      'after',
      `
Examples:
  bootseal image repair disk.img`,
    )
    .action((image: string, options: ChangeOptions) => repair(io, image, options));
}

async function repair(io: Io, image: string, options: ChangeOptions): Promise<void> {
  const lines: string[] = [];
  const changed = await changeKeys(io, image, { ...options, mend: true }, async ({ mended, finished, commit }) => {
    if (mended) lines.push('both copies of the header are good again');
    if (finished.length > 0) lines.push(`keyslot ${finished.join(', ')} removed`);
    if (lines.length === 0) lines.push('the header was whole already');
    return commit({ remove: [] });
  });
  reportChange(io, options, lines, changed);
}
