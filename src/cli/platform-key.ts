/** @module The options that name the platform to make a session for, and the key that comes of them. */
import { type Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { type PlatformKey, trustUnverified, verifyChain } from '../core/session/chain.ts';
import { completeChain, readCertificates } from '../core/session/platform-certificates.ts';
import { readCertificateFiles } from '../host/certificate-files.ts';
import { nodePublicKey } from '../host/public-key.ts';
import { type Io, remark, resolvePath } from './io.ts';

/** What commander makes of the options of `addPlatformKeyOptions`. */
export interface PlatformKeyOptions {
  readonly platformCerts?: string;
  readonly pdh?: string;
  readonly insecureUnverifiedPdh?: boolean;
}

/** Adds `--platform-certs`, `--pdh` and `--insecure-unverified-pdh`. */
export function addPlatformKeyOptions(command: Command): Command {
  return command
    .option('--platform-certs <folder>', "the platform's certificates: a folder of them, or the file of sevctl export")
    .addOption(new Option('--pdh <file>', "the platform's PDH certificate alone").conflicts('platformCerts'))
    .option('--insecure-unverified-pdh', 'trust that PDH without its chain: whoever made it may read the secrets');
}

/**
 * Reads the certificates and verifies their chain up to AMD. Throws `mismatch` when it does not hold, `usage` when certificates
 * are missing or an unverified PDH was not asked for in so many words, `format` and `io`.
 */
export async function readPlatformKey(io: Io, options: PlatformKeyOptions): Promise<PlatformKey> {
  const { platformCerts, pdh, insecureUnverifiedPdh = false } = options;
  if (platformCerts !== undefined) {
    if (insecureUnverifiedPdh) throw new BootsealError('usage', '--insecure-unverified-pdh goes with --pdh only');
    const found = readCertificates(await readCertificateFiles(resolvePath(io, platformCerts)));
    const { amdAuthorities } = await import('../core/session/amd-certificates.ts');
    return verifyChain(completeChain(found, amdAuthorities(), nodePublicKey), nodePublicKey);
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

async function unverified(io: Io, file: string): Promise<PlatformKey> {
  const { pdh } = readCertificates(await readCertificateFiles(resolvePath(io, file)));
  if (pdh === undefined) throw new BootsealError('usage', `${file}: holds no PDH certificate`);
  remark(
    io,
    'warning',
    'the PDH is not verified: a program that plays the platform can read all secrets of this launch',
  );
  return trustUnverified(pdh);
}
