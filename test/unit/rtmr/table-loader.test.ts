import { describe, expect, it } from 'vitest';
import { loadedFiles } from '../../../src/core/rtmr/table-loader.ts';
import { loaderCommand, tableLoader } from '../../acpi-files.ts';
import { failure, HINT } from '../../failure.ts';
import { join } from '../../firmware-image.ts';

describe("QEMU's table loader", () => {
  it('loads files in the order of its commands, and does other work with them', () => {
    const commands = tableLoader('etc/acpi/rsdp', 'etc/vmgenid_guid', 'etc/acpi/tables');
    expect(loadedFiles(commands)).toEqual(['etc/acpi/rsdp', 'etc/vmgenid_guid', 'etc/acpi/tables']);
    expect(loadedFiles(join(loaderCommand(4), loaderCommand(1, 'a')))).toEqual(['a']);
  });

  const full = 'x'.repeat(56);
  it.each([
    ['nothing', new Uint8Array(), '0 bytes are not made of commands of 128'],
    ['half a command', new Uint8Array(192), '192 bytes are not made of commands of 128'],
    ['zeros', new Uint8Array(256), 'it loads no file'],
    ['another command', join(loaderCommand(1, 'a'), loaderCommand(5)), 'command 5 at byte 128 is not known'],
    ['no name', loaderCommand(1), 'the name of a file is none'],
    ['a name without an end', loaderCommand(1, full), 'the name of a file is none'],
    ['a name with a space', loaderCommand(1, 'a b'), 'the name of a file is none'],
    ['a name of other bytes', loaderCommand(1, 'a\x7f'), 'the name of a file is none'],
  ])('%s is refused', (_, commands, message) => {
    expect(failure(() => loadedFiles(commands))).toEqual({
      kind: 'format',
      message: `etc/table-loader: ${message}`,
      hint: HINT,
    });
  });

  it('takes the longest name', () => {
    expect(loadedFiles(loaderCommand(1, full.slice(1)))).toEqual([full.slice(1)]);
  });
});
