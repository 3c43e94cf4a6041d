/** What `launch prepare` writes for libvirt, against libvirt's own schema of domains. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseDescription } from '../../src/core/launch/description.ts';
import { domainXml } from '../../src/core/launch/domain-xml.ts';
import { scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';

const VALIDATOR = {
  name: 'virt-xml-validate',
  files: ['/usr/bin/virt-xml-validate', '/usr/bin/xmllint', '/usr/share/libvirt/schemas/domain.rng'],
  how: 'run npm test as root once, or install libvirt-clients libxml2-utils',
};

const { folder, remove } = scratch();
afterAll(remove);

function validate(xml: string): { readonly status: number | null; readonly output: string } {
  const file = path.join(folder, 'domain.xml');
  fs.writeFileSync(file, xml);
  const { status, stdout, stderr } = spawnSync('/usr/bin/virt-xml-validate', [file, 'domain'], { encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

function xml(over: object, initrd?: string, disk?: string): string {
  const description = parseDescription({ platform: 'sev', policy: 'nodbg', firmware: 'f', kernel: 'k', ...over });
  const files = { firmware: '/a/fw', kernel: '/a/k&1', initrd, disk, godh: '/l/g', session: '/l/s', qmp: '/l/q' };
  return domainXml({ description, files, cmdline: `quiet a="<b>" 'c'`, godh: 'R09ESA==', session: 'U0VTUw==' });
}

const ES = { platform: 'sev-es', policy: 'nodbg,noks,es', cpu: 'EPYC-v4', vcpus: '8', memory: '16G' };

describeWith(VALIDATOR, "libvirt's schema", () => {
  it.each([
    ['the least there is', xml({})],
    ['SEV-ES with all there is', xml({ ...ES, disk: { image: 'd', format: 'qcow2' } }, '/a/i', "/a/d'")],
    [
      'an older way of starting',
      xml({ ...ES, profile: 'qemu-legacy', cbitpos: '47', 'reduced-phys-bits': '5' }, '/a/i'),
    ],
  ])('takes %s', (_, text) => {
    expect(validate(text)).toEqual({ status: 0, output: expect.stringContaining('validates') });
  });

  it('would not take anything', () => {
    expect(validate(xml({}).replace('kernelHashes', 'kernelHash')).status).not.toBe(0);
    expect(validate(xml({}).replace('<policy>0x1</policy>', '')).status).not.toBe(0);
  });
});

const VIRSH = {
  name: 'virsh',
  files: ['/usr/bin/virsh'],
  how: 'run npm test as root once, or install libvirt-clients',
};

describeWith(VIRSH, 'libvirt', () => {
  it('keeps each byte of a command line, and adds none', () => {
    const cmdline = '\n    console=ttyS0  a=&lt;b&gt;\tc\n  ';
    const text = `<domain type='test'><name>g</name><memory>1024</memory><os><type>hvm</type><kernel>/k</kernel><cmdline>${cmdline}</cmdline></os></domain>`;
    fs.writeFileSync(path.join(folder, 'test.xml'), text);
    const shown = 'define test.xml\ndumpxml g\n';
    const args = ['-c', 'test:///default'];
    const { stdout } = spawnSync('/usr/bin/virsh', args, { input: shown, encoding: 'utf8', cwd: folder });
    expect(stdout).toContain(`<cmdline>${cmdline}</cmdline>`);
  });
});
