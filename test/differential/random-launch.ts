/** @module Random launches for differential tests: any seed gives the same ones again. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { ApiVersion } from '../../src/core/measurement/api-version.ts';
import { POLICY_FLAGS } from '../../src/core/session/policy.ts';
import { fixture } from '../fixtures.ts';

/** Returns the seed of this run: BOOTSEAL_SEED, or one from the clock. */
export function seedOfRun(): number {
  return Number(process.env['BOOTSEAL_SEED'] ?? Date.now() % 2 ** 32);
}

/** A source of numbers (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns an integer from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => this.below(256)));
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }
}

/** A launch, its inputs written to files. */
export interface RandomLaunch {
  readonly platform: 'sev' | 'sev-es';
  readonly firmware: string;
  readonly kernel: string | null;
  readonly initrd: string | null;
  readonly cmdline: string | null;
  readonly policy: number;
  readonly api: ApiVersion;
  readonly vcpus: number;
  readonly cpu: { readonly family: number; readonly model: number; readonly stepping: number };
  readonly tek: Buffer;
  readonly tik: Buffer;
  /** MNONCE, 16 bytes. */
  readonly nonce: Buffer;
  readonly secrets: readonly { readonly guid: string; readonly file: string; readonly value: Buffer }[];
}

/** Makes the launch number `index` in the folder `folder`. */
export function randomLaunch(random: Random, platform: 'sev' | 'sev-es', index: number, folder: string): RandomLaunch {
  const write = (name: string, bytes: Uint8Array) => {
    const file = path.join(folder, `${platform}-${index}-${name}`);
    fs.writeFileSync(file, bytes);
    return file;
  };
  // Anything may stand in front of a firmware's tables, and any page count is a firmware for SEV.
  const body = random.bytes(4096 * random.below(5));
  const tables = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');
  const kernel = random.below(4) === 0 ? null : write('kernel', random.bytes(1 + random.below(5000)));
  const withKernel = <T>(make: () => T): T | null => (kernel === null || random.below(4) === 0 ? null : make());
  const flags = [POLICY_FLAGS.nodbg, POLICY_FLAGS.noks, POLICY_FLAGS.nosend, POLICY_FLAGS.domain, POLICY_FLAGS.sev];
  return {
    platform,
    firmware: write('firmware', Buffer.concat([body, tables])),
    kernel,
    initrd: withKernel(() => write('initrd', random.bytes(random.below(5000)))),
    cmdline: withKernel(() => randomText(random, random.below(200))),
    policy:
      flags.reduce((policy, flag) => policy | (random.below(2) * flag), platform === 'sev-es' ? POLICY_FLAGS.es : 0) +
      random.below(2) * 0x10000 * random.below(0x10000),
    api: { major: random.below(4), minor: 17 + random.below(239), build: random.below(256) },
    vcpus: 1 + random.below(9),
    cpu: { family: 15 + random.below(256), model: random.below(256), stepping: random.below(16) },
    tek: random.bytes(16),
    tik: random.bytes(16),
    nonce: random.bytes(16),
    secrets: randomSecrets(random, index).map(({ guid, value }) => ({ guid, value, file: write(guid, value) })),
  };
}

function randomText(random: Random, length: number): string {
  const letters = [...'abcXYZ0189 =,.:;/-_"\'\\$%&()ü€𝄞'] as [string, ...string[]];
  return Array.from({ length }, () => random.pick(letters)).join('');
}

const HEAD = 20;

function randomSecrets(random: Random, index: number): { guid: string; value: Buffer }[] {
  const secrets = Array.from({ length: 1 + random.below(5) }, () => ({
    guid: random
      .bytes(16)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    value: random.bytes(1 + random.below(400)),
  }));
  // Every fourth table ends on a block boundary by itself: there the peer pads, and no padding is needed.
  const length = secrets.reduce((sum, { value }) => sum + HEAD + value.length, HEAD);
  const last = secrets.at(-1);
  if (index % 4 === 0 && last !== undefined) {
    last.value = Buffer.concat([last.value, random.bytes((16 - (length % 16)) % 16)]);
  }
  return secrets;
}
