/** @module `bootseal id-block`: what an SNP platform must find before it lets a guest run, signed by its owner. */
import { Command } from 'commander';
import { idBlockCreateCommand } from './id-block-create.ts';
import { idBlockVerifyCommand } from './id-block-verify.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function idBlockCommand(io: Io): Command {
  return new Command('id-block')
    .description(
      'Make and check SNP ID blocks: the platform starts a guest with one only when digest and policy are those in it, and every report names its keys.',
    )
    .addCommand(idBlockCreateCommand(io))
    .addCommand(idBlockVerifyCommand(io))
    .addHelpText(
      'after',
      `
Examples:
  bootseal measure snp --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img --cmdline "console=ttyS0" --cpu EPYC-v4 > digest
  bootseal id-block create --digest digest --policy smt --id-key id.pem --out block
  bootseal id-block verify block/id-block block/id-auth --digest digest`,
    );
}
