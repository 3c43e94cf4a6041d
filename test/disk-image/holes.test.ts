/** @module What a disk takes: what nothing is written to has no blocks, however large the file is. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from './raw-image.ts';

const { folder, remove } = scratch();
afterAll(remove);
const MIB = 2 ** 20;

it.each(['raw', 'qcow2'])('the free space of an EFI system partition takes none in %s', async (format) => {
  fs.writeFileSync(path.join(folder, 'data'), noise(MIB));
  fs.mkdirSync(path.join(folder, 'esp'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'esp', 'a.efi'), 'MZ');
  const shape = ['--shape', 'gpt', '--esp', 'esp', '--esp-size', '1G', '--format', format];
  const args = ['image', 'build', '--from', 'data', '--new-key', `key-${format}`, '--out', format, ...shape];
  expect(await bootseal(args, folder)).toMatchObject({ status: 0 });
  expect(fs.statSync(path.join(folder, format)).blocks * 512).toBeLessThan(64 * MIB);
});
