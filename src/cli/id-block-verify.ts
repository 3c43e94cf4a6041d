/** @module `bootseal id-block verify`: checks an ID block as the platform does, and against what its owner expects. */
import { Command } from 'commander';
import { ID_AUTH_SIZE, verifyIdBlock } from '../core/attestation/id-auth.ts';
import { ID_BLOCK_SIZE } from '../core/attestation/id-block.ts';
import { parseSnpPolicy } from '../core/attestation/snp-policy.ts';
import { base64ToBytes } from '../core/base64.ts';
import { equalInConstantTime } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { nodePublicKey } from '../host/public-key.ts';
import { idBlockJson, idBlockText, type SignedBlock } from './id-block-text.ts';
import { type Io, readInput } from './io.ts';
import { snpDigest } from './snp-digest-option.ts';

interface Options {
  readonly digest?: string;
  readonly policy?: string;
  readonly idKeyDigest?: string;
  readonly authorKeyDigest?: string;
  readonly json?: boolean;
}

/** Returns the command. */
export function idBlockVerifyCommand(io: Io): Command {
  return new Command('verify')
    .summary('check an ID block and its signatures')
    .description('Check an ID block and its signatures as the platform does, and against what you expect.')
    .argument('<id-block>', 'ID block: base64 or 96 bytes; a file, or -')
    .argument('<id-auth>', 'authentication information: base64 or 4096 bytes; a file, or -')
    .option('--digest <value>', 'the SNP launch digest that it must have')
    .option('--policy <policy>', 'the policy that it must have')
    .option('--id-key-digest <value>', 'the SHA-384 of the ID key that it must have, as reports show it')
    .option('--author-key-digest <value>', 'the SHA-384 of the author key that it must have')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Without the options it is only known that the block is whole: anyone can sign one with a key of their own.

Exit status: 0 it is what was expected, 1 a signature is wrong or something is not as expected.

Examples:
  bootseal id-block verify block/id-block block/id-auth
  bootseal id-block verify block/id-block block/id-auth --digest digest --policy smt --id-key-digest 870b7e35…`,
    )
    .action(async (block: string, auth: string, options: Options) => verify(io, [block, auth], options));
}

async function verify(io: Io, [block, auth]: readonly [string, string], options: Options): Promise<void> {
  const expected = {
    digest: await optionalDigest(io, options.digest, '--digest'),
    policy: options.policy === undefined ? undefined : parseSnpPolicy(options.policy),
    idKey: await optionalDigest(io, options.idKeyDigest, '--id-key-digest'),
    authorKey: await optionalDigest(io, options.authorKeyDigest, '--author-key-digest'),
  };
  const idBlock = await readEither(io, block, ID_BLOCK_SIZE, 'ID block');
  const idAuth = await readEither(io, auth, ID_AUTH_SIZE, 'ID auth');
  const signed = verifyIdBlock(idBlock, idAuth, { publicKey: nodePublicKey, hashes: nodeHashes });
  const wrong = differences(signed, expected);
  io.stdout.write(
    options.json === true ? `${JSON.stringify({ ...idBlockJson(signed), differs: wrong })}\n` : idBlockText(signed),
  );
  if (wrong.length === 0) return;
  throw new BootsealError('mismatch', `the ID block is not what was expected: another ${wrong.join(', another ')}`, {
    hint: 'do not start a guest with it: it is for another launch, or of another owner',
  });
}

interface Expected {
  readonly digest: Uint8Array | undefined;
  readonly policy: bigint | undefined;
  readonly idKey: Uint8Array | undefined;
  readonly authorKey: Uint8Array | undefined;
}

function differences(signed: SignedBlock, expected: Expected): readonly string[] {
  const differs = (wanted: Uint8Array | undefined, found: Uint8Array | undefined) =>
    wanted !== undefined && (found === undefined || !equalInConstantTime(wanted, found));
  return [
    ...(differs(expected.digest, signed.launchDigest) ? ['digest'] : []),
    ...(expected.policy !== undefined && expected.policy !== signed.policy ? ['policy'] : []),
    ...(differs(expected.idKey, signed.idKeyDigest) ? ['ID key'] : []),
    ...(differs(expected.authorKey, signed.authorKeyDigest) ? ['author key'] : []),
  ];
}

async function optionalDigest(io: Io, text: string | undefined, option: string): Promise<Uint8Array | undefined> {
  return text === undefined ? undefined : snpDigest(io, text, option);
}

/** Twice the size in base64 with line breaks is more than enough; `size` in bytes. */
async function readEither(io: Io, file: string, size: number, what: string): Promise<Uint8Array> {
  const content = await readInput(io, file, 2 * size);
  if (content.length === size) return content;
  try {
    return base64ToBytes(Buffer.from(content).toString('latin1').replace(/\s/g, ''));
  } catch (cause) {
    throw new BootsealError('format', `${what}: neither ${size} bytes nor base64`, {
      hint: 'give the file that id-block create wrote, or what QEMU was given',
      cause,
    });
  }
}
