#!/usr/bin/env node
// `npm run demo`: the owner's whole way before a launch, with the real command on Debian's real firmware, kernel and initrd
// and a real AMD certificate chain. Only the AMD processor is missing; what stands in for it says so.
'use strict';
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { DEMO_DATA } = require('./setup/demo-data.js');
const { ROOT } = require('./setup/project.js');
const { answerOfPsp } = require('./demo/psp.js');
const { Stage } = require('./demo/stage.js');

const GUEST = [
  '--firmware',
  'OVMF.amdsev.fd',
  '--kernel',
  'vmlinuz',
  '--initrd',
  'initrd.gz',
  '--cmdline',
  'console=ttyS0',
];
const VCPUS = ['--vcpus', '4', '--cpu', 'EPYC-v4'];

function demo(stage) {
  stage.say(
    `Kernel and initrd: ${fs.readFileSync(DEMO_DATA.origin, 'utf8').trim()}. Firmware: Debian ovmf-amdsev 2026.08.`,
  );

  stage.title('What does the firmware do for its owner?');
  stage.run(['firmware', 'inspect', 'OVMF.amdsev.fd'], { show: /^ {2}(SEV\S*|kernel hashes|launch secret) .*/ });
  stage.run(['firmware', 'lint', 'OVMF.amdsev.fd'], { status: 1, show: /^(class|advice): .*/ });
  stage.say('An owner stops here and takes a better build. The demo goes on, and has to say so in step 3.');

  stage.title('Which digest must the launch have?');
  const digest = stage.run(['measure', 'sev-es', ...GUEST, ...VCPUS]).stdout.trim();
  stage.run(['measure', 'snp', ...GUEST, ...VCPUS]);

  stage.title("A session that only this platform can use (a real Rome processor's certificates, up to AMD's root)");
  const accept = ['--accept-firmware', 'enforcing-some-unverified'];
  const session = ['--platform', 'sev-es', '--policy', 'nodbg,noks,nosend,es', '--platform-certs', 'certificates'];
  stage.run(['session', 'create', ...session, ...GUEST, ...VCPUS, ...accept, '--out', 'launch'], {
    show: /^(record|tk|godh|session|platform|policy) .*/,
  });

  stage.title('The host starts the guest, paused, and hands over what the PSP measured');
  const answer = (launched) => {
    const measurement = answerOfPsp({ tk: stage.read('launch/tk'), policy: 0xf, digest: launched });
    return measurement.toString('base64');
  };
  stage.say('(no PSP here: bin/demo/psp.js stands in for it, with the keys of the session)');
  fs.writeFileSync(stage.path('measurement.b64'), answer(digest));
  const record = ['--record', 'launch/record.json'];
  stage.run(['verify', 'launch', ...record, '--measurement', 'measurement.b64'], { show: /^(measurement|API) .*/ });

  stage.title('A host that changes one bit of the initrd');
  const evil = stage.read('initrd.gz');
  evil.writeUInt8(evil.readUInt8(evil.length >> 1) ^ 1, evil.length >> 1);
  fs.writeFileSync(stage.path('evil.gz'), evil);
  const changed = GUEST.map((word) => (word === 'initrd.gz' ? 'evil.gz' : word));
  const launched = stage.quietly(['measure', 'sev-es', ...changed, ...VCPUS]).stdout.trim();
  fs.writeFileSync(stage.path('evil.b64'), answer(launched));
  stage.run(['verify', 'launch', ...record, '--measurement', 'evil.b64'], { status: 1, show: /error: [^;]*/ });

  stage.title('The disk passphrase, sealed to the launch that was verified, and to no other');
  fs.writeFileSync(stage.path('passphrase'), randomBytes(24).toString('base64'), { mode: 0o600 });
  const secret = ['--secret', 'disk-passphrase=passphrase'];
  const build = (measurement, out) => [
    'secret',
    'build',
    ...record,
    '--measurement',
    measurement,
    ...secret,
    '--out',
    out,
  ];
  stage.run(build('evil.b64', 'packet'), { status: 1, show: /error: [^;]*/ });
  stage.run(build('measurement.b64', 'packet'), { show: /^(secret|packet) .*/ });
  stage.say(`for the host: ${fs.readdirSync(stage.path('packet')).join(' ')}`);
  stage.run(build('measurement.b64', 'second-packet'), { status: 2, show: /(error|hint): .*/ });

  stage.title('What the guest will find: only the keys of the session open the packet');
  const open = ['--tk', 'launch/tk', '--measurement', 'measurement.b64', 'packet', '--out', 'table.bin'];
  stage.quietly(['secret', 'open', ...open]);
  stage.run(['secret', 'inspect', 'table.bin']);
  stage.quietly(['secret', 'inspect', 'table.bin', '--value', 'disk-passphrase', '--out', 'read-back']);
  if (!stage.read('read-back').equals(stage.read('passphrase'))) stage.fail('the passphrase did not come back');
  stage.say('its value is the passphrase, byte for byte');
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootseal-demo-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
])
  process.on(signal, () => process.exit(status));
fs.symlinkSync(DEMO_DATA.firmware, path.join(folder, 'OVMF.amdsev.fd'));
fs.symlinkSync(DEMO_DATA.kernel, path.join(folder, 'vmlinuz'));
fs.symlinkSync(DEMO_DATA.initrd, path.join(folder, 'initrd.gz'));
fs.symlinkSync(path.join(ROOT, 'test/fixtures/sev-crate/rome'), path.join(folder, 'certificates'));
const start = Date.now();
const stage = new Stage(folder);
demo(stage);
stage.title(`Done in ${((Date.now() - start) / 1000).toFixed(1)} s: every command ended as it should.`);
