/** @module A platform's certificates as a host hands them over: a folder of files, or one file with all of them. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { CertificateFile } from '../core/session/platform-certificates.ts';
import { ioError, readSmallFile } from './files.ts';

/** All certificates of a chain have 11 KiB, in base64 15; bytes. */
const LIMIT = 64 << 10;

/** The names that sevctl, sev-tool, AMD and people give to certificates of SEV and to several in one file. */
const NAME =
  /^(pdh|pek|oca|cek|ask|ark|cek_ask|ask_ark|cert[_-]chain|chain)(_(out|naples|rome|milan|genoa|turin))?(\.(cert|crt|bin|b64))?$/i;

/**
 * Reads the certificate files of a folder, others left alone, or a single file of any name. Throws `io`, `usage` when no file
 * in the folder has a certificate's name, `format` for a file that is too large for certificates.
 */
export async function readCertificateFiles(name: string): Promise<CertificateFile[]> {
  const paths = (await isFolder(name)) ? await certificatesIn(name) : [name];
  return Promise.all(paths.map(async (file) => ({ name: file, bytes: await readSmallFile(file, LIMIT) })));
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await fs.stat(name)).isDirectory();
  } catch (cause) {
    throw ioError(cause, name, 'read');
  }
}

async function certificatesIn(folder: string): Promise<string[]> {
  try {
    const entries = await fs.readdir(folder, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile() && NAME.test(entry.name)).map((entry) => entry.name);
    if (names.length > 0) return names.sort().map((name) => path.join(folder, name));
  } catch (cause) {
    throw ioError(cause, folder, 'read');
  }
  throw new BootsealError('usage', `${folder}: no file in it has the name of a certificate`, {
    hint: 'names such as pdh.cert, pek.cert, oca.cert, cek.cert, ask.cert, ark.cert, ask_ark.cert and cert_chain.cert are read',
  });
}
