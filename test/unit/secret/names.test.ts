import { describe, expect, it } from 'vitest';
import { guidWarning, SECRET_NAMES, secretGuid, secretName } from '../../../src/core/secret/names.ts';
import { vectors } from '../../fixtures.ts';

describe('names of secrets', () => {
  it('are these', () => {
    expect(SECRET_NAMES).toEqual({
      'disk-passphrase': '736869e5-84f0-4973-92ec-06879ce3da0b',
      'offline-sev-kbc': vectors<{ offline_sev_kbc: { guid: string } }>('secret.json').offline_sev_kbc.guid,
      'online-sev-kbc': vectors<{ online_sev_kbc: { guid: string } }>('secret.json').online_sev_kbc.guid,
      'kata-bundle': '0a46e24d-478c-4eb1-8696-113eeec3aa99',
    });
  });

  it('stand for their GUID, and back', () => {
    for (const [name, guid] of Object.entries(SECRET_NAMES)) {
      expect(secretGuid(name)).toBe(guid);
      expect(secretName(guid)).toBe(name);
      expect(guidWarning(guid)).toBeUndefined();
    }
    expect(secretName('00000000-0000-0000-0000-000000000001')).toBeUndefined();
  });

  it('may be GUIDs of either case', () => {
    expect(secretGuid('736869E5-84F0-4973-92EC-06879CE3DA0B')).toBe('736869e5-84f0-4973-92ec-06879ce3da0b');
  });

  it.each(['', 'luks-key', 'toString', '__proto__', 'disk-passphrase ', '736869e5'])(
    'are not %j, which is not repeated',
    (text) => {
      expect(() => secretGuid(text)).toThrow(
        expect.objectContaining({
          kind: 'usage',
          message: 'a secret is named by neither a GUID nor a known name',
          hint: 'the known names are: disk-passphrase, offline-sev-kbc, online-sev-kbc, kata-bundle',
        }),
      );
    },
  );

  it.each([
    ['736870e5-84f0-4973-92ec-06879ce3da0b', 'the disk passphrase is 736869e5-84f0-4973-92ec-06879ce3da0b'],
    ['1e74f542-71dd-4d66-963e-ef4287ff173b', 'is the GUID of the header of a secret table'],
    ['adf956ad-e98c-484c-ae11-b51c7d336447', 'the EFI configuration table'],
    ['9438d606-4f22-4cc9-b479-a793d411fd21', 'the kernel hash table'],
  ])('get a warning: %s', (guid, text) => {
    expect(guidWarning(guid)).toContain(text);
  });
});
