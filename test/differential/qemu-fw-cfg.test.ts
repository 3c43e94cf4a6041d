/** @module What QEMU itself serves as the header of a kernel and as commands for ACPI tables, read from its fw_cfg without a guest. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesToHex } from '../../src/core/hex.ts';
import { withQemuHeader } from '../../src/core/measurement/setup-header.ts';
import { loadedFiles } from '../../src/core/rtmr/table-loader.ts';
import { scratch } from '../cli/script.ts';
import { linuxKernel } from '../linux-kernel.ts';
import { describeWith } from '../needs.ts';

const QEMU = {
  name: 'QEMU',
  files: ['/usr/bin/qemu-system-x86_64'],
  how: 'install qemu-system-x86',
};

/** Items of fw_cfg (QEMU docs/specs/fw_cfg.rst). */
const ITEM = { setupSize: 0x17, setupData: 0x18, directory: 0x19 } as const;

const MIB = 2 ** 20;

describeWith(QEMU, "QEMU's fw_cfg", () => {
  let folder: string;
  let remove: () => void;
  beforeAll(() => {
    ({ folder, remove } = scratch());
  });
  afterAll(() => remove());

  /** Reads items of a machine that never runs: the first bytes of each, by QEMU's protocol for tests. */
  async function read(
    words: readonly string[],
    items: readonly (readonly [item: number, bytes: number])[],
  ): Promise<readonly Buffer[]> {
    const asks = items.flatMap(([item, bytes]) => [
      `outw 0x510 0x${item.toString(16)}`,
      ...Array(bytes).fill('inb 0x511'),
    ]);
    const machine = ['-machine', 'q35,accel=tcg', '-S', '-qtest', 'stdio', '-nodefaults', '-display', 'none'];
    const qemu = spawn(QEMU.files[0] ?? '', [...machine, ...words], { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'] });
    const answers: string[] = [];
    try {
      qemu.stdin.write(`${asks.join('\n')}\n`);
      for await (const line of createInterface(qemu.stdout)) {
        if (line.startsWith('OK')) answers.push(line);
        if (answers.length === asks.length) break;
      }
    } finally {
      qemu.kill('SIGKILL');
    }
    expect(answers.length).toBe(asks.length);
    let at = 0;
    return items.map(([, bytes]) => {
      at += 1 + bytes;
      return Buffer.from(answers.slice(at - bytes, at).map((line) => Number(line.slice(3))));
    });
  }

  it.each([
    [2048 * MIB, undefined, {}],
    [2048 * MIB, 0x12345, {}],
    [512 * MIB, 0x1000, {}],
    [2048 * MIB, 1, { xloadflags: 0, initrdMax: 0x37ffffff }],
    [512 * MIB, 0xfff, { version: 0x20a, loadflags: 0x61, initrdMax: 0x7fffffff }],
  ])(
    'fills in the header as predicted: %d bytes of memory, an initrd of %s, %j',
    async (memory, initrdSize, fields) => {
      const kernel = linuxKernel(fields);
      fs.writeFileSync(path.join(folder, 'kernel'), kernel);
      const initrd = initrdSize === undefined ? [] : ['-initrd', 'initrd'];
      if (initrdSize !== undefined) fs.writeFileSync(path.join(folder, 'initrd'), new Uint8Array(initrdSize));
      const words = ['-m', `${memory / MIB}M`, '-kernel', 'kernel', '-append', 'console=ttyS0', ...initrd];
      const [size, setup] = await read(words, [
        [ITEM.setupSize, 4],
        [ITEM.setupData, 0x400],
      ]);
      expect(size?.readUInt32LE()).toBe(0x400);
      const cmdline = Uint8Array.from(Buffer.from('console=ttyS0'));
      const predicted = withQemuHeader(kernel, { cmdline, initrdSize, memory }).slice(0, 0x400);
      expect(bytesToHex(setup ?? new Uint8Array())).toBe(bytesToHex(predicted));
    },
  );

  it('has the commands for the ACPI tables read as they are', async () => {
    const [head] = await read([], [[ITEM.directory, 4 + 64 * 48]]);
    const directory = head ?? Buffer.alloc(4);
    const files = Array.from({ length: directory.readUInt32BE() }, (_, i) => {
      const entry = directory.subarray(4 + 64 * i, 68 + 64 * i);
      const name = entry.toString('latin1', 8).replace(/\0.*/s, '');
      return { name, item: entry.readUInt16BE(4), bytes: entry.readUInt32BE(0) };
    });
    const found = files.find(({ name }) => name === 'etc/table-loader');
    expect(found).toBeDefined();
    const [commands] = await read([], [[found?.item ?? 0, found?.bytes ?? 0]]);
    expect(loadedFiles(new Uint8Array(commands ?? []))).toEqual(['etc/acpi/rsdp', 'etc/acpi/tables']);
  });
});
