import { describe, expect, it } from 'vitest';
import { kataVerityWord } from '../../../src/core/identify/kata-verity.ts';
import { failure } from '../../failure.ts';

const GIVEN = 'root_hash=abc,salt=def,data_blocks=1,data_block_size=4096,hash_block_size=4096';

describe('the root of Kata Containers under dm-verity', () => {
  // As hypervisor_test.go of kata-containers/kata-containers has it.
  it('is a word of the command line', () => {
    expect(kataVerityWord(GIVEN)).toBe(
      'dm-mod.create="dm-verity,,,ro,0 8 verity 1 /dev/vda1 /dev/vda2 4096 4096 1 0 sha256 abc def"',
    );
  });

  // The example in the comment on KernelParamFields, hypervisor.go of the same.
  it('counts sectors', () => {
    const hash = 'f211b9f1921ef726d57a72bf82be23a510076639fa8549ade10f85e214e0ddb4';
    const salt = '065c13dfb5b4e0af034685aa5442bddda47b17c182ee44ba55a373835d18a038';
    expect(
      kataVerityWord(`root_hash=${hash},salt=${salt},data_blocks=92041,data_block_size=4096,hash_block_size=4096`),
    ).toBe(
      `dm-mod.create="dm-verity,,,ro,0 736328 verity 1 /dev/vda1 /dev/vda2 4096 4096 92041 0 sha256 ${hash} ${salt}"`,
    );
    expect(kataVerityWord('data_blocks=3,data_block_size=512,hash_block_size=1024,root_hash=AB,salt=-')).toBe(
      'dm-mod.create="dm-verity,,,ro,0 3 verity 1 /dev/vda1 /dev/vda2 512 1024 3 0 sha256 AB -"',
    );
  });

  it('is read as Kata reads it: blanks, empty fields, other names, and the last of two', () => {
    expect(kataVerityWord(` root_hash=00, ,x=y,${GIVEN.replaceAll(',', ' , ')},`)).toBe(kataVerityWord(GIVEN));
  });

  it.each([
    ['', /root_hash is missing/],
    ['root_hash', /root_hash is no name=value/],
    [GIVEN.replace('abc', 'a c'), /root_hash is not hexadecimal/],
    [GIVEN.replace('def', ''), /salt is missing/],
    [GIVEN.replace('def', '"'), /salt is not hexadecimal/],
    [GIVEN.replace('data_blocks=1,', ''), /data_blocks is missing/],
    [GIVEN.replace('data_blocks=1,', 'data_blocks=,'), /data_blocks is missing/],
    [GIVEN.replace('data_blocks=1', 'data_blocks=0'), /data_blocks is no positive number/],
    [GIVEN.replace('data_blocks=1', 'data_blocks=0x1'), /data_blocks is no positive number/],
    [GIVEN.replace('data_blocks=1', 'data_blocks=18446744073709551616'), /data_blocks is no positive number/],
    [GIVEN.replace('data_blocks=1', 'data_blocks=18446744073709551615'), /data_blocks is more than any disk has/],
    [GIVEN.replace('data_block_size=4096', 'data_block_size=4095'), /data_block_size is no multiple of 512/],
    [GIVEN.replace('hash_block_size=4096', 'hash_block_size=foo'), /hash_block_size is no positive number/],
  ])('refuses %j', (text, message) => {
    const error = failure(() => kataVerityWord(text));
    expect(error).toMatchObject({ kind: 'usage', message: expect.stringMatching(message) });
  });
});
