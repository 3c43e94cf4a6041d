/** @module `bootseal id-block create`: signs the digest and policy of an SNP launch. */
import { Command } from 'commander';
import { createIdAuth, type EcdsaSigner, verifyIdBlock } from '../core/attestation/id-auth.ts';
import { encodeIdBlock } from '../core/attestation/id-block.ts';
import { snpPolicyRisks } from '../core/attestation/snp-policy.ts';
import { bytesToBase64 } from '../core/base64.ts';
import { equalInConstantTime, wipe } from '../core/bytes.ts';
import { writeNewFolder } from '../host/new-folder.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { nodePublicKey } from '../host/public-key.ts';
import { signerOf } from '../host/signing-key.ts';
import { idBlockJson, idBlockText, type SignedBlock } from './id-block-text.ts';
import { type Io, printResult, readHidden, remark } from './io.ts';
import { parseUnsigned } from './numbers.ts';
import { outFolder } from './out-folder.ts';
import { sixteenBytes, snpDigest } from './snp-digest-option.ts';
import { type AllowDebug, allowedSnpPolicy } from './snp-policy-option.ts';

interface Options extends AllowDebug {
  readonly digest: string;
  readonly policy: string;
  readonly idKey: string;
  readonly authorKey?: string;
  readonly familyId?: string;
  readonly imageId?: string;
  readonly guestSvn?: string;
  readonly out: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Returns the command. */
export function idBlockCreateCommand(io: Io): Command {
  return new Command('create')
    .summary('sign the digest and policy of a launch')
    .description(
      'Sign the digest and policy of an SNP launch: the platform refuses to start any other guest with this ID block.',
    )
    .requiredOption('--digest <value>', 'SNP launch digest: text of measure snp, a file with it, or -')
    .requiredOption('--policy <policy>', 'SNP guest policy: flags (smt,rapl-dis; none), hexadecimal or decimal')
    .requiredOption('--id-key <file>', 'private key on P-384 in PEM that signs the block, or -')
    .option('--author-key <file>', 'private key on P-384 in PEM that signs the ID key')
    .option('--family-id <hex>', '16 bytes that reports will show')
    .option('--image-id <hex>', '16 bytes that reports will show')
    .option('--guest-svn <n>', 'security version of the guest, which reports will show (default: 0)')
    .option('--insecure-allow-debug', 'sign a policy under which the host reads and changes the guest')
    .requiredOption('--out <folder>', 'new folder for id-block and id-auth, in base64')
    .option('--force', 'replace the folder')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
QEMU takes both files as text: -object sev-snp-guest,…,id-block=$(cat block/id-block),id-auth=$(cat block/id-auth), with policy= as
it is here, and with an author author-key-enabled=on. Keys are read from files only, and nothing of them is written.

Examples:
  openssl ecparam -name secp384r1 -genkey -noout -out id.pem
  bootseal id-block create --digest digest --policy smt --id-key id.pem --out block
  bootseal id-block create --digest 7ebc8806… --policy 0x30000 --id-key id.pem --author-key author.pem --guest-svn 2 --out block`,
    )
    .action(async (options: Options) => create(io, options));
}

async function create(io: Io, options: Options): Promise<void> {
  const inputs = { '--digest': options.digest, '--id-key': options.idKey, '--author-key': options.authorKey };
  const folder = await outFolder(io, options.out, inputs);
  const policy = allowedSnpPolicy(options.policy, options);
  const idBlock = encodeIdBlock({
    launchDigest: await snpDigest(io, options.digest, '--digest'),
    familyId: sixteenBytes(options.familyId ?? NO_ID, '--family-id'),
    imageId: sixteenBytes(options.imageId ?? NO_ID, '--image-id'),
    guestSvn: parseUnsigned(options.guestSvn ?? '0', '--guest-svn', 0xffffffff),
    policy,
  });
  const idAuth = createIdAuth(
    idBlock,
    await signer(io, options.idKey, '--id-key'),
    options.authorKey === undefined ? undefined : await signer(io, options.authorKey, '--author-key'),
  );
  // Read back as the platform reads it: what is written is known to be right.
  const signed = verifyIdBlock(idBlock, idAuth, { publicKey: nodePublicKey, hashes: nodeHashes });
  await writeNewFolder(
    folder,
    [
      { name: 'id-block', bytes: `${bytesToBase64(idBlock)}\n`, mode: 0o644 },
      { name: 'id-auth', bytes: `${bytesToBase64(idAuth)}\n`, mode: 0o644 },
    ],
    options.force === true,
    { announce: () => report(io, options, signed) },
  );
}

function report(io: Io, { json }: Options, signed: SignedBlock): void {
  remarks(io, signed);
  printResult(io, json === true ? `${JSON.stringify(idBlockJson(signed))}\n` : idBlockText(signed));
}

const NO_ID = '0'.repeat(32);

function remarks(io: Io, { policy, idKeyDigest, authorKeyDigest }: SignedBlock): void {
  for (const risk of snpPolicyRisks(policy)) remark(io, 'warning', risk);
  if (authorKeyDigest !== undefined && equalInConstantTime(idKeyDigest, authorKeyDigest)) {
    remark(io, 'warning', 'the ID key is its own author: whoever has the one can sign as the other');
  }
}

/** A PEM file with certificates and all is no larger; bytes. */
const LIMIT = 1 << 16;

async function signer(io: Io, file: string, option: string): Promise<EcdsaSigner> {
  const pem = await readHidden(io, file, LIMIT, `the file of ${option}`, 'give the path of the file with the key');
  try {
    // What was read is a file: its name is none that someone typed a secret for.
    return signerOf(pem, `${option} ${file}`);
  } finally {
    wipe(pem);
  }
}
