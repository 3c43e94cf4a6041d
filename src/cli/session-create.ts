/** @module `bootseal session create`: verify the platform, measure the launch, wrap fresh keys, write the folder. */
import { bytesToBase64 } from '../core/base64.ts';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { usableSecretArea } from '../core/firmware/areas.ts';
import { FIRMWARE_CLASSES, type FirmwareClass, lintFirmware } from '../core/firmware/lint.ts';
import { isLegacy } from '../core/measurement/api-version.ts';
import { createRecord, expectedDigest } from '../core/session/create-record.ts';
import { chooseMinimumApi } from '../core/session/minimum-api.ts';
import { allowsDebugging, checkPolicyPlatform, parsePolicy } from '../core/session/policy.ts';
import { type LaunchRecord, printRecord } from '../core/session/record.ts';
import { createSession } from '../core/session/session.ts';
import { encodeTk } from '../core/session/transport-keys.ts';
import { type NewFile, writeNewFolder } from '../host/new-folder.ts';
import { nodePublicKey } from '../host/public-key.ts';
import { checkAccepted, UNREADABLE_ADVICE } from './firmware-class.ts';
import { type Io, printResult, remark } from './io.ts';
import { type MeasuredLaunch, type MeasureOptions, measureFromOptions } from './measure-options.ts';
import { outFolder } from './out-folder.ts';
import { type PlatformKeyOptions, readPlatformKey } from './platform-key.ts';
import { sessionJson, sessionText } from './session-text.ts';
import { remarkPolicy, UNBOUND } from './verified-launch.ts';

/** What commander makes of the options. */
export interface SessionOptions extends MeasureOptions, PlatformKeyOptions {
  readonly platform: 'sev' | 'sev-es';
  readonly policy: string;
  readonly out: string;
  readonly minimumApi?: string;
  readonly insecureAllowDebug?: boolean;
  readonly acceptFirmware?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Makes the session folder and says what to do with it. */
export async function createSessionFolder(io: Io, options: SessionOptions): Promise<void> {
  const out = await outFolder(io, options.out, inputFiles(options));
  await makeSession(io, options, async ({ record, files }) => {
    const print = options.json === true ? sessionJson : sessionText;
    const announce = () => printResult(io, print(options.out, record));
    await writeNewFolder(out, files, options.force === true, { announce });
  });
}

/** A session that was made and is on no disk yet. */
export interface MadeSession {
  readonly record: LaunchRecord;
  /** godh, session, tk and record.json. */
  readonly files: readonly NewFile[];
  /** In base64, for the host. */
  readonly godh: string;
  readonly session: string;
}

/** Verifies the platform, measures the launch and makes a session, whose keys are wiped when `use` has ended. */
export async function makeSession<T>(
  io: Io,
  options: Omit<SessionOptions, 'out' | 'json' | 'force'>,
  use: (made: MadeSession) => Promise<T>,
): Promise<T> {
  const { platform } = options;
  checkAccepted(options.acceptFirmware);
  const policy = choosePolicy(io, options);
  const minimumApi = chooseMinimumApi(options.minimumApi, policy);
  if (isLegacy(minimumApi)) remark(io, 'warning', `--minimum-api lets in platforms older than 0.17: there ${UNBOUND}`);
  const platformKey = await readPlatformKey(io, options);
  const launch = await measureFromOptions(io, platform, options);
  const kernelHashes = launch.inputs['kernel'] !== undefined;
  const firmware = acceptedFirmware(io, launch, options.acceptFirmware);
  const expected = launch.results.map(expectedDigest);
  remarkOnDigests(io, expected.length);
  const parts = { platform, policy, minimumApi, expected, firmware, kernelHashes, platformKey };
  const record = createRecord({ ...parts, created: io.now() });

  const [ephemeralKey, tek, tik] = [io.randomBytes(48), io.randomBytes(16), io.randomBytes(16)];
  const tk = encodeTk({ tek, tik });
  try {
    const [nonce, iv] = [io.randomBytes(16), io.randomBytes(16)];
    const made = createSession({ pdh: platformKey.pdh, ephemeralKey, tek, tik, policy, nonce, iv }, nodePublicKey);
    const [godh, session] = [bytesToBase64(made.godh), bytesToBase64(made.session)];
    const files = [
      { name: 'godh', bytes: `${godh}\n`, mode: 0o644 },
      { name: 'session', bytes: `${session}\n`, mode: 0o644 },
      { name: 'tk', bytes: tk, mode: 0o600 },
      { name: 'record.json', bytes: printRecord(record), mode: 0o600 },
    ];
    return await use({ record, files, godh, session });
  } finally {
    wipe(ephemeralKey, tek, tik, tk);
  }
}

/** With more digests than this, a measurement that fits none is searched for longer than people expect; see docs/secret.md. */
const MANY_DIGESTS = 64;

function remarkOnDigests(io: Io, count: number): void {
  if (count <= MANY_DIGESTS) return;
  const cost = 'a measurement that fits none is refused after about half a second for each';
  const faster = 'give fewer CPUs and numbers of vCPUs, or verify with --api-major, --api-minor and --build-id';
  remark(io, 'note', `${count} digests are expected: ${cost}; ${faster}`);
}

function inputFiles(options: SessionOptions): Readonly<Record<string, string | undefined>> {
  return {
    '--platform-certs': options.platformCerts,
    '--pdh': options.pdh,
    '--lab': options.lab,
    '--firmware': options.firmware,
    '--kernel': options.kernel,
    '--initrd': options.initrd,
    '--cmdline-file': options.cmdlineFile,
    '--svsm': options.svsm,
    '--vars-file': options.varsFile,
  };
}

function choosePolicy(
  io: Io,
  {
    policy: text,
    platform,
    insecureAllowDebug = false,
  }: Pick<SessionOptions, 'policy' | 'platform' | 'insecureAllowDebug'>,
): number {
  const policy = parsePolicy(text);
  checkPolicyPlatform(policy, platform);
  if (allowsDebugging(policy) && !insecureAllowDebug) {
    throw new BootsealError('usage', `policy ${text} lets the host read and change the guest's memory`, {
      hint: 'add the flag nodbg, or say --insecure-allow-debug for an experiment without secrets',
    });
  }
  remarkPolicy(io, policy);
  return policy;
}

/** Returns what the record keeps of the firmware; throws `usage` for a class that the owner has not accepted. */
function acceptedFirmware(io: Io, launch: MeasuredLaunch, accepted: string | undefined): LaunchRecord['firmware'] {
  const { image, firmware } = launch.firmware;
  const hashed = launch.inputs['firmware'];
  if (image === undefined || hashed === undefined) {
    throw new BootsealError('usage', 'a session needs the firmware image itself, not its descriptor', {
      hint: 'give the image that the descriptor was made of',
    });
  }
  const judged = judgeFirmware(image, accepted);
  if (accepted !== undefined && accepted !== judged.class) {
    throw new BootsealError('usage', `the firmware is of the class ${judged.class}, not ${accepted}`, {
      hint: judged.advice,
    });
  }
  if (judged.class !== 'enforcing') {
    if (accepted === undefined) {
      throw new BootsealError('usage', `the firmware is of the class ${judged.class}: ${judged.title}`, {
        hint: `${judged.advice}; to make a session all the same, say --accept-firmware ${judged.class}`,
      });
    }
    remark(io, 'warning', `you accepted firmware of the class ${judged.class}: ${judged.advice}`);
  }
  return { ...hashed, lint: judged.class, secretArea: usableSecretArea(firmware) ?? null };
}

interface Judged {
  readonly class: FirmwareClass | 'unreadable';
  readonly title: string;
  readonly advice: string;
}

/** Lints the image; one that cannot be read (another compression, a cut file) is a class of its own, which owners can accept too. */
function judgeFirmware(image: Uint8Array, accepted: string | undefined): Judged {
  try {
    const lint = lintFirmware(image);
    return { class: lint.class, title: FIRMWARE_CLASSES[lint.class], advice: lint.advice };
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    if (accepted === 'unreadable') return { class: 'unreadable', title: error.message, advice: UNREADABLE_ADVICE };
    throw new BootsealError('format', error.message, {
      hint: `${error.hint}; to make a session all the same, say --accept-firmware unreadable`,
      cause: error,
    });
  }
}
