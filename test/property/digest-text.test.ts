import * as fs from 'node:fs';
import * as path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePlanDocument } from '../../src/core/explain/plan-document.ts';
import { parseLaunchMeasurementText } from '../../src/core/measurement/launch-measurement.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { typedOrValue } from '../failure.ts';
import { fixture } from '../fixtures.ts';

const { folder, remove } = scratch();
const at = (name: string) => path.join(folder, name);

/** A digest of SEV in hexadecimal has as many characters as 48 bytes in base64; so have 31 bytes behind 0x. */
const written = fc.tuple(fc.constantFrom('', '0x', '0X'), fc.boolean()).chain(([prefix, upper]) =>
  fc
    .uint8Array({ minLength: prefix === '' ? 32 : 31, maxLength: 32 })
    .map((bytes) => Buffer.from(bytes).toString('hex'))
    .map((hex) => `${prefix}${upper ? hex.toUpperCase() : hex}`),
);

beforeAll(() => {
  fs.writeFileSync(at('id.pem'), fixture('sev-snp-measure/id_key_test.pem'));
  fs.writeFileSync(at('fw'), fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
  fs.writeFileSync(at('ccel'), fixture('go-tdx-guest/ccel_data.dat'));
  fs.writeFileSync(at('quote'), fixture('go-tdx-guest/cos-113-tdx-quote.dat'));
});
afterAll(remove);

describe('text of hexadecimal digits that are not 48 bytes', () => {
  const commands: readonly (readonly [what: string, args: (text: string) => readonly string[]])[] = [
    [
      'id-block create',
      (text) => ['id-block', 'create', '--digest', text, '--policy', 'smt', '--id-key', 'id.pem', '--out', 'no'],
    ],
    ['id-block verify', (text) => ['id-block', 'verify', 'block/id-block', 'block/id-auth', '--digest', text]],
    ['verify ccel', (text) => ['verify', 'ccel', 'ccel', '--quote', 'quote', '--mrtd', text]],
  ];

  beforeAll(async () => {
    const digest = '07'.repeat(48);
    const made = await bootseal(
      ['id-block', 'create', '--digest', digest, '--policy', 'smt', '--id-key', 'id.pem', '--out', 'block'],
      folder,
    );
    expect(made.status).toBe(0);
  });

  it.each(commands)('is bad input to %s, never base64', async (_, args) => {
    await fc.assert(
      fc.asyncProperty(written, async (text) => {
        expect(await bootseal(args(text), folder)).toMatchObject({ status: 2, stdout: '' });
        fs.writeFileSync(at('digest'), `${text}\n`);
        expect((await bootseal(args('digest'), folder)).status).toBe(2);
        expect(fs.existsSync(at('no'))).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  it('is no digest of SNP to identify', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('0x', '0X'),
        fc.uint8Array({ minLength: 31, maxLength: 31 }),
        async (prefix, bytes) => {
          const text = `${prefix}${Buffer.from(bytes).toString('hex')}`;
          const ran = await bootseal(['identify', text, '--firmware', 'fw', '--vcpus', '1'], folder);
          expect(ran).toMatchObject({
            status: 3,
            stdout: '',
            stderr: expect.stringContaining('62 hexadecimal digits'),
          });
        },
      ),
      { numRuns: 20 },
    );
  });

  /** The plan of an SNP guest with this digest in a step; undefined when it is refused. */
  function parsed(digest: string) {
    const step = { name: 'firmware', type: 'normal', gpa: '0xfffff000', bytes: 4096, digest };
    const plan = { results: [{ platform: 'snp', digest: '07'.repeat(48), plan: [step] }] };
    return typedOrValue(() => parsePlanDocument(JSON.stringify(plan)));
  }

  it('is no launch measurement, nor a digest in a plan of an SNP guest', () => {
    fc.assert(
      fc.property(written, (text) => {
        expect(typedOrValue(() => parseLaunchMeasurementText(text))).toBeUndefined();
        expect(parsed('07'.repeat(48))).toBeDefined();
        expect(parsed(text)).toBeUndefined();
      }),
    );
  });
});
