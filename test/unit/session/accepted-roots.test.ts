import { describe, expect, it } from 'vitest';
import { parseRoots, type RootName } from '../../../src/core/session/amd-roots.ts';
import { checkRoot, type PlatformKey } from '../../../src/core/session/chain.ts';
import { failure } from '../../failure.ts';

/** A chain that ends in that root; nothing else of it is looked at. */
const ending = (root: PlatformKey['root']) => ({ root }) as PlatformKey;

describe('the roots that an owner accepts', () => {
  it('are read in upper and lower case', () => {
    expect(parseRoots('milan')).toEqual(['milan']);
    expect(parseRoots('Genoa,TURIN')).toEqual(['genoa', 'turin']);
  });

  it.each(['', 'lab', 'milan,', 'constructor', 'zen5'])('are no %j', (text) => {
    expect(failure(() => parseRoots(text))).toMatchObject({
      kind: 'usage',
      message: expect.stringContaining("is none of AMD's roots"),
      hint: 'give names out of naples, rome, milan, genoa, turin, joined by commas',
    });
  });

  it('are named by their start when they are long', () => {
    expect(failure(() => parseRoots('x'.repeat(40))).message).toBe(`"${'x'.repeat(32)}" is none of AMD's roots`);
  });

  it('let their own chains through', () => {
    expect(() => checkRoot(ending('genoa'), ['milan', 'genoa'])).not.toThrow();
  });

  it.each(['rome', 'lab', null] as const)('let no chain through that ends in %s', (root) => {
    for (const accepted of [
      ['milan', 'genoa'],
      ['lab' as RootName, 'milan'],
    ] as RootName[][]) {
      expect(failure(() => checkRoot(ending(root), accepted))).toMatchObject({
        kind: 'mismatch',
        message: `the chain ends in AMD's root ${root}, not in ${accepted.join(' or ')}`,
        hint: expect.stringContaining('another processor generation'),
      });
    }
  });
});
