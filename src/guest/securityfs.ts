/** @module Secrets as files of Linux's driver efi_secret (linux Documentation/security/secrets/coco.rst). */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { MAX_ENTRIES, type TableEntry } from '../core/secret/table.ts';
import { readSmallFile } from '../host/files.ts';
import { codeOf, type Guest, inGuest, isAbsent, isThere, kernelText } from './guest.ts';
import { type SecretSource, SHOWN_BY_LIST, STILL_THERE } from './source.ts';

const MOUNT = '/sys/kernel/security';

/** Where the driver's folder is since Linux 5.19, and where versions before it was merged had it. */
const FOLDERS = ['secrets/coco', 'coco/efi_secret', 'coco/sev_secret'];

const NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const AS_ROOT = 'run it as root; what else stands in the way is in the kernel log';

/** Returns the driver's folder as a source, or one sentence that says why there is none. */
export async function findSecurityfs(guest: Guest): Promise<SecretSource | string> {
  for (const folder of FOLDERS) {
    const place = path.posix.join(MOUNT, folder);
    if (await isThere(guest, place)) return securityfsSource(guest, place);
  }
  return whyNot(guest);
}

async function whyNot(guest: Guest): Promise<string> {
  const mounts = (await kernelText(guest, '/proc/mounts')) ?? '';
  if (!mounts.split('\n').some((line) => line.split(' ')[2] === 'securityfs')) {
    return `securityfs is not mounted; try: mount -t securityfs securityfs ${MOUNT}`;
  }
  if (await isThere(guest, '/sys/module/efi_secret')) {
    // Loading it succeeds whatever it finds.
    return 'the driver efi_secret is loaded and shows nothing; the kernel log may say why';
  }
  const release = (await kernelText(guest, '/proc/sys/kernel/osrelease'))?.trim() ?? '';
  const names = (await kernelText(guest, `/lib/modules/${release}/modules.dep`)) ?? '';
  return names.includes('/efi_secret.ko')
    ? 'the driver efi_secret is not loaded; try: modprobe efi_secret'
    : 'this kernel has no driver efi_secret (CONFIG_EFI_SECRET)';
}

function securityfsSource(guest: Guest, place: string): SecretSource {
  const folder = inGuest(guest, place);

  async function names(): Promise<Guid[]> {
    const found = await fs.readdir(folder).catch((cause: unknown) => {
      throw new BootsealError('io', `cannot list ${place}: ${codeOf(cause)}`, { hint: AS_ROOT, cause });
    });
    return found.filter((name) => NAME.test(name)).sort();
  }

  async function readEntry(guid: Guid): Promise<TableEntry> {
    // The kernel says that these files have no bytes; they are read up to their end.
    return { guid, value: await readSmallFile(path.join(folder, guid), MAX_PAYLOAD, `${place}/${guid}`) };
  }

  async function erase(guid: Guid): Promise<void> {
    const file = path.join(folder, guid);
    await fs.unlink(file).catch((cause: unknown) => {
      const [why, hint] = isAbsent(cause) ? ['there is no such secret', SHOWN_BY_LIST] : [codeOf(cause), AS_ROOT];
      throw new BootsealError('io', `cannot erase ${place}/${guid}: ${why}`, { hint, cause });
    });
    if ((await names()).includes(guid)) {
      throw new BootsealError('io', `${place}/${guid} is still there after it was erased`, { hint: STILL_THERE });
    }
  }

  return {
    kind: 'securityfs',
    place,
    async read() {
      const entries: TableEntry[] = [];
      try {
        for (const guid of await names()) entries.push(await readEntry(guid));
      } catch (error) {
        wipe(...entries.map(({ value }) => value));
        throw error;
      }
      return { entries, table: undefined };
    },
    erase,
    async eraseAll() {
      const all = await names();
      for (const guid of all) await erase(guid);
      if (all.length >= MAX_ENTRIES) throw moreMayBeLeft(all.length, place);
      return all.length;
    },
  };
}

/** What the driver does not show cannot be erased through it; when it is loaded anew, it passes erased entries and shows those behind them. */
function moreMayBeLeft(erased: number, place: string): BootsealError {
  return new BootsealError(
    'io',
    `${erased} secrets were erased at ${place}, and more may be left in memory: the driver shows ${MAX_ENTRIES} at most`,
    {
      hint: 'modprobe -r efi_secret; modprobe efi_secret; then `bootseal guest erase --all` again, until it succeeds; where the driver cannot be unloaded, end the guest',
    },
  );
}
