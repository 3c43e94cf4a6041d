/** @module The options that name the platform to make a session for, and the key that comes of them. */
import { type Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { parseRoots, type RootName } from '../core/session/amd-roots.ts';
import { checkRoot, type PlatformKey, trustUnverified, verifyChain, verifyLabChain } from '../core/session/chain.ts';
import { completeChain, type FoundCertificates, readCertificates } from '../core/session/platform-certificates.ts';
import { CERTIFICATES_LIMIT, readCertificateFiles } from '../host/certificate-files.ts';
import { nodePublicKey } from '../host/public-key.ts';
import { type Io, readInput, remark, resolvePath } from './io.ts';
import { NOT_ENCRYPTED } from './lab-remark.ts';

/** What commander makes of the options of `addPlatformKeyOptions`. */
export interface PlatformKeyOptions {
  readonly platformCerts?: string;
  readonly pdh?: string;
  readonly root?: readonly RootName[];
  readonly insecureUnverifiedPdh?: boolean;
  readonly lab?: string;
}

/** Adds `--platform-certs`, `--root`, `--pdh`, `--insecure-unverified-pdh` and `--lab`. */
export function addPlatformKeyOptions(command: Command): Command {
  return command
    .option(
      '--platform-certs <folder>',
      "the platform's certificates: a folder of them, or the file of sevctl export, or -",
    )
    .option('--root <list>', "roots of AMD's to accept, such as milan,genoa,turin (default: any)", parseRoots)
    .addOption(new Option('--pdh <file>', "the platform's PDH certificate alone, or -").conflicts('platformCerts'))
    .option('--insecure-unverified-pdh', 'trust that PDH without its chain: whoever made it may read the secrets')
    .addOption(
      new Option(
        '--lab <folder>',
        "rehearse with the platform of a lab (`lab platform`): the guest's memory is NOT encrypted",
      ).conflicts(['platformCerts', 'pdh', 'root']),
    );
}

/**
 * Reads the certificates and verifies their chain up to AMD. Throws `mismatch` when it does not hold, `usage` when certificates
 * are missing or an unverified PDH was not asked for in so many words, `format` and `io`.
 */
export async function readPlatformKey(io: Io, options: PlatformKeyOptions): Promise<PlatformKey> {
  const { platformCerts, pdh, root, insecureUnverifiedPdh = false, lab } = options;
  if (lab !== undefined) {
    if (insecureUnverifiedPdh)
      throw new BootsealError('usage', '--insecure-unverified-pdh goes with --pdh only', {
        hint: "leave it out: a lab's platform has a chain of its own",
      });
    return labKey(io, lab);
  }
  if (platformCerts !== undefined) {
    if (insecureUnverifiedPdh)
      throw new BootsealError('usage', '--insecure-unverified-pdh goes with --pdh only', {
        hint: 'leave it out: a chain is always verified',
      });
    return verified(io, platformCerts, root);
  }
  if (root !== undefined) {
    throw new BootsealError('usage', '--root is about a chain: it goes with --platform-certs only', {
      hint: 'leave it out, or give the folder of the chain with --platform-certs',
    });
  }
  if (pdh === undefined) {
    throw new BootsealError('usage', 'a session needs the certificates of a platform', {
      hint: 'give --platform-certs with what the host exported: docs/session.md says what to ask for',
    });
  }
  if (!insecureUnverifiedPdh) {
    throw new BootsealError('usage', '--pdh alone proves nothing: anyone can make a PDH and read what is sent to it', {
      hint: 'give the whole chain with --platform-certs, or say --insecure-unverified-pdh for an experiment',
    });
  }
  return unverified(io, pdh);
}

async function verified(io: Io, name: string, roots: readonly RootName[] | undefined): Promise<PlatformKey> {
  const found = await readFound(io, name);
  const { amdAuthorities } = await import('../core/session/amd-certificates.ts');
  const key = verifyChain(completeChain(found, amdAuthorities(), nodePublicKey), nodePublicKey);
  if (roots !== undefined) checkRoot(key, roots);
  if (key.root === 'naples') {
    remark(
      io,
      'warning',
      'the chain ends in the root naples: keys of this first generation were extracted through old firmware, and no update takes them back',
    );
  }
  return key;
}

async function labKey(io: Io, folder: string): Promise<PlatformKey> {
  const { files } = await readCertificateFiles(resolvePath(io, folder));
  const chain = completeChain(readCertificates(files), [], nodePublicKey);
  const key = verifyLabChain(chain, nodePublicKey);
  remark(io, 'warning', NOT_ENCRYPTED);
  return key;
}

async function readFound(io: Io, name: string): Promise<FoundCertificates> {
  if (name === '-') {
    return readCertificates([{ name: 'standard input', bytes: await readInput(io, name, CERTIFICATES_LIMIT) }]);
  }
  const { files, ignored } = await readCertificateFiles(resolvePath(io, name));
  if (ignored.length > 0) remark(io, 'note', `${name}: not read: ${ignored.join(', ')}`);
  return readCertificates(files);
}

async function unverified(io: Io, file: string): Promise<PlatformKey> {
  const { pdh } = await readFound(io, file);
  if (pdh === undefined)
    throw new BootsealError('usage', `${file}: holds no PDH certificate`, {
      hint: 'give the file that the platform exported as pdh.cert',
    });
  remark(
    io,
    'warning',
    'the PDH is not verified: a program that plays the platform can read all secrets of this launch',
  );
  return trustUnverified(pdh);
}
