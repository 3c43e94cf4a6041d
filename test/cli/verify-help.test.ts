import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { bootseal } from './script.ts';

// libvirt's docs/manpages/virsh.rst, domlaunchsecinfo: `%-15s: %s`, and the name has 15 letters.
const VIRSH = 'sev-measurement: LMnv8i8N2QejezMPkscShF0cyPYCslgUoCxGWRqQuyt0Q0aUjVkH/T6NcmkwZkWp\nsev-api-major  : 0\n';

it('the awk of the help finds the measurement in what virsh prints', async () => {
  const { stdout } = await bootseal(['verify', 'launch', '--help'], '.');
  const script = /awk '([^']+)'/.exec(stdout)?.[1] ?? '';
  const found = execFileSync('awk', [script], { input: VIRSH, encoding: 'utf8' });
  expect(found).toBe('LMnv8i8N2QejezMPkscShF0cyPYCslgUoCxGWRqQuyt0Q0aUjVkH/T6NcmkwZkWp\n');
});
