/**
 * @module The lab's platform: a chain of certificates under a root that calls itself a lab's, and the private keys that a real platform
 * would never give away. It is made once and kept in a folder; nobody takes its root for AMD's.
 */
import * as crypto from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../../core/errors.ts';
import { readSmallFile } from '../../host/files.ts';
import { ioError } from '../../host/io-error.ts';
import { FORCE_HINT } from '../../host/new-file.ts';
import { writeNewFolder } from '../../host/new-folder.ts';
import { type ChainBytes, makePlatform, number } from './certificates.ts';

/** What the lab's firmware calls itself: an API of Milan's time, and a build that no real firmware has. */
const API = { major: 1, minor: 55, build: 255 };

/** A platform that can start guests. */
export interface LabPlatform {
  readonly chain: ChainBytes;
  /** Private key of the PDH, 48 bytes big-endian. */
  readonly pdhKey: Uint8Array;
  readonly api: { readonly major: number; readonly minor: number; readonly build: number };
  /** Signs with the PEK: ECDSA over SHA-256, r and s of 48 bytes each, big-endian. */
  signWithPek(message: Uint8Array): Uint8Array;
}

/** 16 letters each, which is what a key id has room for. */
const KEY_IDS = { ark: Buffer.from('bootseal lab ARK'), ask: Buffer.from('bootseal lab ASK') };

const PLACES = ['ark', 'ask', 'cek', 'oca', 'pek', 'pdh'] as const;
const PRIVATE = ['pek', 'pdh'] as const;
const README = `A platform of bootseal's lab: certificates and private keys that were made on this machine.

AMD does not know them. Guests that are started with them are NOT encrypted: whoever can read this machine reads them.
ark.cert to pdh.cert are what a real platform would export; *.key is what a real platform would never give away.
`;

/** Makes a platform in a new folder; throws `io` when the name is taken, and as `announce`, which is called when it is there. */
export async function createLabPlatform(folder: string, announce?: () => void): Promise<void> {
  const { chain, keys } = makePlatform(KEY_IDS);
  const pem = (place: (typeof PRIVATE)[number]) => keys[place].export({ type: 'pkcs8', format: 'pem' });
  const files = [
    { name: 'README', bytes: README, mode: 0o644 },
    ...PLACES.map((place) => ({ name: `${place}.cert`, bytes: chain[place], mode: 0o644 })),
    ...PRIVATE.map((place) => ({ name: `${place}.key`, bytes: pem(place), mode: 0o600 })),
  ];
  await writeNewFolder(folder, files, false, announce === undefined ? {} : { announce }).catch(
    (error: BootsealError) => {
      // The keys of a platform are not replaced.
      throw error.hint === FORCE_HINT ? new BootsealError('io', error.message, { hint: 'choose another name' }) : error;
    },
  );
}

/** The most that a file of the folder has; bytes. */
const LIMIT = 8192;

/** Reads the platform in `folder`. Throws `io`, `format` when a key is none. */
export async function readLabPlatform(folder: string): Promise<LabPlatform> {
  const read = (name: string) => readSmallFile(path.join(folder, name), LIMIT);
  const chain: Partial<ChainBytes> = {};
  for (const place of PLACES) chain[place] = await read(`${place}.cert`);
  const key = async (place: (typeof PRIVATE)[number]) => privateKey(await read(`${place}.key`), `${place}.key`);
  const [pek, pdh] = [await key('pek'), await key('pdh')];
  return {
    chain: chain as ChainBytes,
    pdhKey: number(pdh.export({ format: 'jwk' }).d),
    api: API,
    signWithPek: (message) => crypto.sign('sha256', message, { key: pek, dsaEncoding: 'ieee-p1363' }),
  };
}

/** Reads a platform that must be there already. Throws `io`, naming the folder when there is none; else as {@link readLabPlatform}. */
export async function readMadePlatform(folder: string): Promise<LabPlatform> {
  await fs.access(path.join(folder, 'pdh.key')).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') return;
    throw new BootsealError('io', `there is no platform in ${folder}`, {
      hint: 'give --lab the folder that launch prepare was given',
      cause,
    });
  });
  return readLabPlatform(folder);
}

/** Reads the platform in `folder`, which is made when there is none. Throws as {@link readLabPlatform}. */
export async function openLabPlatform(folder: string): Promise<LabPlatform> {
  const there = await fs.access(folder).then(
    () => true,
    () => false,
  );
  if (!there) await makeFolder(folder);
  return readLabPlatform(folder);
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await fs.mkdir(path.dirname(folder), { recursive: true });
  } catch (cause) {
    throw ioError(cause, path.dirname(folder), 'write');
  }
  await createLabPlatform(folder);
}

function privateKey(pem: Uint8Array, name: string): crypto.KeyObject {
  try {
    const key = crypto.createPrivateKey({ key: Buffer.from(pem), format: 'pem' });
    if (key.asymmetricKeyDetails?.namedCurve === 'secp384r1') return key;
  } catch {
    // Falls through: OpenSSL's own words may hold a part of the key.
  }
  throw new BootsealError('format', `${name}: not a private key on P-384`, {
    hint: 'make a new platform with `bootseal lab platform`, and prepare the launch with it again',
  });
}
