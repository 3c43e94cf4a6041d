/**
 * @module Says whether a firmware image keeps what its footer promises: an area for kernel hashes is worth something only when
 * code in the image checks them, and one for a launch secret only when code in the image guards it.
 */
import { BootsealError } from '../errors.ts';
import { type Guid, guidToBytes } from '../guid.ts';
import { HASH_TABLE_SIZE } from '../measurement/hash-table.ts';
import { walkFirmware } from './contents.ts';
import { FILE_TYPE } from './ffs.ts';
import { type Firmware, parseFirmware } from './firmware.ts';
import { SECTION_TYPE, type Section } from './section.ts';

/** The classes, best first, with what each is called. */
export const FIRMWARE_CLASSES = {
  enforcing: 'enforcing',
  'enforcing-some-unverified': 'enforcing, but some blobs go unverified',
  'advertises-only': 'advertises only',
  none: 'none',
} as const;

export type FirmwareClass = keyof typeof FIRMWARE_CLASSES;

/** One thing that was looked for. */
export interface Finding {
  readonly name: 'hash-area' | 'secret-area' | 'verifier' | 'secret-driver' | 'unverified-blobs';
  readonly found: boolean;
  readonly text: string;
}

/** What there is to say about an image. */
export interface FirmwareLint {
  readonly class: FirmwareClass;
  readonly findings: readonly Finding[];
  /** What the owner should do. */
  readonly advice: string;
}

/** edk2 OvmfPkg/AmdSev/SecretPei and SecretDxe: the first reserves the page of the launch secret, the second announces it. */
const SECRET_PEI: Guid = '45260dde-0c3c-4b41-a226-ef3803fac7d4';
const SECRET_DXE: Guid = '6e2b9619-8810-4e9d-a177-d432bb9abeda';

/** edk2 OvmfPkg/AmdSev/BlobVerifierLibSevHashes names the hashes it checks by these: kernel, initrd, command line. */
const VERIFIER_GUIDS = [
  '4de79437-abd2-427f-b835-d5b172d2045b',
  '44baf731-3a2f-4bd7-9af1-41e29169781d',
  '97d02dd8-bd20-4c94-aa78-e7714d36ab2a',
].map(guidToBytes);

/** Marks builds of the class "enforcing, but some blobs go unverified": the ASCII text `etc/boot/`. */
const UNVERIFIED_MARKER = Uint8Array.from('etc/boot/', (letter) => letter.charCodeAt(0));

/**
 * Classifies an image. Throws `format` when it has no volume that can be read or any part that cannot, since what is not seen
 * cannot be judged.
 */
export function lintFirmware(image: Uint8Array): FirmwareLint {
  return judge(parseFirmware(image), searchMarkers(image));
}

interface Markers {
  readonly secretPei: boolean;
  readonly secretDxe: boolean;
  readonly verifier: boolean;
  readonly unverifiedBlobs: boolean;
}

function searchMarkers(image: Uint8Array): Markers {
  const files = new Set<Guid>();
  let dxeCore = false;
  let verifier = false;
  let unverifiedBlobs = false;
  walkFirmware(image, {
    file: (name, type) => {
      files.add(name);
      dxeCore ||= type === FILE_TYPE.dxeCore;
    },
    // What speaks for an image must lie where it can run; what speaks against it counts wherever it lies.
    leaf: (_name, section) => {
      verifier ||= isCode(section) && VERIFIER_GUIDS.every((guid) => includes(section.body, guid));
    },
    plain: (bytes) => {
      unverifiedBlobs ||= includes(bytes, UNVERIFIED_MARKER);
    },
  });
  if (!dxeCore) {
    throw new BootsealError('format', 'firmware: its main part is missing: no DXE core is in it', {
      hint: 'give the full image, not only its variable store or its last part',
    });
  }
  return { secretPei: files.has(SECRET_PEI), secretDxe: files.has(SECRET_DXE), verifier, unverifiedBlobs };
}

const isCode = (section: Section) => section.type === SECTION_TYPE.pe32 || section.type === SECTION_TYPE.te;

function judge(firmware: Firmware, markers: Markers): FirmwareLint {
  const { hashArea, secretArea } = firmware;
  const secretDriver = markers.secretPei && markers.secretDxe;
  const hashesKept = hashArea === undefined || (markers.verifier && hashArea.size >= HASH_TABLE_SIZE);
  const secretKept = secretArea === undefined || secretDriver;
  let found: FirmwareClass = markers.unverifiedBlobs ? 'enforcing-some-unverified' : 'enforcing';
  if (!hashesKept || !secretKept) found = 'advertises-only';
  else if (hashArea === undefined) found = 'none';
  return { class: found, findings: findings(firmware, markers, secretDriver), advice: ADVICE[found] };
}

function findings(firmware: Firmware, markers: Markers, secretDriver: boolean): readonly Finding[] {
  const { hashArea, secretArea } = firmware;
  return [
    finding('hash-area', hashArea !== undefined, [
      'the footer offers an area for kernel hashes',
      'the footer offers no area for kernel hashes',
    ]),
    finding('verifier', markers.verifier, [
      'code that checks kernel, initrd and command line against the hashes is in the image',
      'no code that checks kernel, initrd and command line against hashes is in the image',
    ]),
    finding('secret-area', secretArea !== undefined, [
      'the footer offers an area for a launch secret',
      'the footer offers no area for a launch secret',
    ]),
    finding('secret-driver', secretDriver, [
      'drivers that reserve the launch secret and announce it to the guest are in the image',
      'drivers that reserve the launch secret and announce it to the guest are not in the image',
    ]),
    finding('unverified-blobs', markers.unverifiedBlobs && markers.verifier, [
      'some blobs go unverified',
      markers.verifier
        ? 'no sign of blobs that go unverified'
        : 'whether single blobs go unverified does not matter: none is verified',
    ]),
  ];
}

function finding(name: Finding['name'], found: boolean, texts: readonly [string, string]): Finding {
  return { name, found, text: texts[found ? 0 : 1] };
}

/** What the owner should do with an image of each class. */
export const ADVICE: Readonly<Record<FirmwareClass, string>> = {
  enforcing: 'use this image; its kernel hashes mean what they say',
  'enforcing-some-unverified':
    'do not release secrets to this build; use one of OvmfPkg/AmdSev/AmdSevX64.dsc that verifies every blob',
  'advertises-only':
    'do not rely on kernel hashes or launch secrets with this image: it offers room for them and does not honour them; build OvmfPkg/AmdSev/AmdSevX64.dsc instead',
  none: 'this image does not check what is booted; for kernel hashes build OvmfPkg/AmdSev/AmdSevX64.dsc',
};

/** Says whether `needle` lies anywhere in `bytes`. */
function includes(bytes: Uint8Array, needle: Uint8Array): boolean {
  const first = needle[0];
  const last = bytes.length - needle.length;
  for (let at = 0; at <= last; at++) if (bytes[at] === first && startsAt(bytes, at, needle)) return true;
  return false;
}

function startsAt(bytes: Uint8Array, at: number, needle: Uint8Array): boolean {
  for (let i = 1; i < needle.length; i++) if (bytes[at + i] !== needle[i]) return false;
  return true;
}
