/** @module A platform's certificates as a host hands them over: a folder of files, or one file with all of them. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { CertificateFile } from '../core/session/platform-certificates.ts';
import { isFolder, readSmallFile } from './files.ts';
import { ioError } from './io-error.ts';

/** All certificates of a chain have 11 KiB, in base64 15; bytes. */
export const CERTIFICATES_LIMIT: number = 64 << 10;

/** The names that sevctl, sev-tool, AMD and people give to certificates of SEV and to several in one file. */
const NAME =
  /^(pdh|pek|oca|cek|ask|ark|cek_ask|ask_ark|cert[_-]chain|chain)(_(out|naples|rome|milan|genoa|turin))?(\.(cert|crt|bin|b64))?$/i;

/** What was read, and what was not. */
export interface CertificateFiles {
  readonly files: readonly CertificateFile[];
  /** Entries of the folder that were left alone, each with the reason; hidden ones are not counted. */
  readonly ignored: readonly string[];
}

/**
 * Reads the certificate files of a folder, others left alone, or a single file of any name. Throws `io`, `usage` when no file
 * in the folder has a certificate's name, `format` for a file that is too large for certificates.
 */
export async function readCertificateFiles(name: string): Promise<CertificateFiles> {
  const { paths, ignored } = (await isFolder(name)) ? await certificatesIn(name) : { paths: [name], ignored: [] };
  const files = await Promise.all(
    paths.map(async (file) => ({ name: file, bytes: await readSmallFile(file, CERTIFICATES_LIMIT) })),
  );
  return { files, ignored };
}

async function certificatesIn(folder: string): Promise<{ readonly paths: string[]; readonly ignored: string[] }> {
  const [paths, ignored]: [string[], string[]] = [[], []];
  for (const name of await namesIn(folder)) {
    const file = path.join(folder, name);
    if (!NAME.test(name)) ignored.push(`${printable(name)} (no certificate by its name)`);
    else if (!(await isFile(file))) ignored.push(`${name} (no file)`);
    else paths.push(file);
  }
  if (paths.length > 0) return { paths, ignored };
  throw new BootsealError('usage', `${folder}: no file in it has the name of a certificate`, {
    hint: 'names such as pdh.cert, pek.cert, oca.cert, cek.cert, ask.cert, ark.cert, ask_ark.cert and cert_chain.cert are read',
  });
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await fs.readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (cause) {
    throw ioError(cause, folder, 'read');
  }
}

/** Follows links, since mounted secrets are made of them; what is no file in the end (a device, a folder, nothing) is not read. */
const isFile = async (file: string): Promise<boolean> =>
  fs.stat(file).then(
    (found) => found.isFile(),
    () => false,
  );

/** The folder may come from the host, and terminals obey what is in names. */
const printable = (name: string): string => name.replaceAll(/[^ -~]/g, '?').slice(0, 64);
