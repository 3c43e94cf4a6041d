/** @module Names of the GUIDs that secret tables are known to use. */
import { BootsealError } from '../errors.ts';
import { type Guid, parseGuid } from '../guid.ts';

/** GUID of an entry that holds the passphrase of the root disk (GRUB, libvirt's `luks-key`, Linux guests). */
export const DISK_PASSPHRASE: Guid = '736869e5-84f0-4973-92ec-06879ce3da0b';

/** GUIDs of entries by the name that may stand for them on a command line. */
export const SECRET_NAMES = {
  'disk-passphrase': DISK_PASSPHRASE,
  // Confidential Containers guest-components: JSON of key ids and keys.
  'offline-sev-kbc': 'e6f5a162-d67f-4750-a67c-5d065f2a9910',
  // Confidential Containers guest-components: JSON of the connection to simple-kbs.
  'online-sev-kbc': '1ee27366-0c87-43a6-af48-28543eaf7cb0',
  // Kata Containers and simple-kbs: the default bundle given before attestation.
  'kata-bundle': '0a46e24d-478c-4eb1-8696-113eeec3aa99',
} as const satisfies Readonly<Record<string, Guid>>;

/** GUIDs that mean something else in the same corner of the firmware, so that an entry under them is likely a slip. */
const OTHER_MEANINGS: Readonly<Record<Guid, string>> = {
  '1e74f542-71dd-4d66-963e-ef4287ff173b': 'the header of a secret table',
  'adf956ad-e98c-484c-ae11-b51c7d336447': 'the EFI configuration table that points to a secret table',
  '4c2eb361-7d9b-4cc3-8081-127c90d3d294': "the firmware's secret area",
  '7255371f-3a3b-4b04-927b-1da6efa8d454': "the firmware's hash area",
  '00f771de-1a7e-4fcb-890e-68c77e2fb44e': "the firmware's SEV-ES reset block",
  'dc886566-984a-4798-a75e-5585a7bf67cc': "the firmware's SEV metadata",
  '96b582de-1fb2-45f7-baea-a366c55a082d': "the firmware's footer table",
  '784fa70e-3176-4677-8a20-04b68699e374': "the firmware's IGVM metadata",
  'e47a6535-984a-4798-865e-4685a7bf8ec2': "the firmware's TDX metadata",
  '9438d606-4f22-4cc9-b479-a793d411fd21': 'the kernel hash table',
  '97d02dd8-bd20-4c94-aa78-e7714d36ab2a': 'the hash of the command line',
  '44baf731-3a2f-4bd7-9af1-41e29169781d': 'the hash of the initrd',
  '4de79437-abd2-427f-b835-d5b172d2045b': 'the hash of the kernel',
};

/** Stands in the listing of Linux's Documentation/security/secrets/coco.rst and differs from DISK_PASSPHRASE in two digits. */
const NEAR_MISS: Guid = '736870e5-84f0-4973-92ec-06879ce3da0b';

/** Returns the GUID that `text` names or is, in lower case; throws `usage` when it is neither, without repeating it. */
export function secretGuid(text: string): Guid {
  if (Object.hasOwn(SECRET_NAMES, text)) return SECRET_NAMES[text as keyof typeof SECRET_NAMES];
  try {
    return parseGuid(text);
  } catch {
    // What stands here by mistake may be the secret itself.
    throw new BootsealError('usage', 'a secret is named by neither a GUID nor a known name', {
      hint: `the known names are: ${Object.keys(SECRET_NAMES).join(', ')}`,
    });
  }
}

/** Returns the name of the secret with this GUID, if it has one. */
export function secretName(guid: Guid): string | undefined {
  return Object.entries(SECRET_NAMES).find(([, known]) => known === guid.toLowerCase())?.[0];
}

/** Returns what is suspicious about an entry with this GUID, if anything is. */
export function guidWarning(text: Guid): string | undefined {
  const guid = text.toLowerCase();
  if (guid === NEAR_MISS) {
    return `${guid} is an example of the Linux documentation; the disk passphrase is ${DISK_PASSPHRASE}`;
  }
  const meaning = OTHER_MEANINGS[guid];
  return meaning === undefined ? undefined : `${guid} is the GUID of ${meaning}, not of a secret`;
}
