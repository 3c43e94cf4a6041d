// Encrypted disks: a raw image of random bytes into a LUKS2 disk, to what copying it takes and to cryptsetup's own encryption.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { bootseal, peakMemory } from './programs.js';
import { median, ratio } from './timing.js';

const MIB = 1 << 20;
const CRYPTSETUP = '/usr/sbin/cryptsetup';
/** What is made. */
const DISK = ['disk', 'disk.json'];
const QEMU_IMG = '/usr/bin/qemu-img';

/** MiB of the large image; the targets of issue are for 4096, which takes 20 GiB of disk. */
const SIZE = Number(process.env['BOOTSEAL_BENCH_MIB'] ?? 1024);

/** Times the building of disks; `timed`, `row`, `atLeast` and `floor` are run.js's. */
export function images(rounds, { timed, row, atLeast, floor }) {
  const folder = fs.mkdtempSync(path.join(process.env['BOOTSEAL_BENCH_FOLDER'] ?? os.tmpdir(), 'bootseal-bench-'));
  const at = (name) => path.join(folder, name);
  try {
    fs.writeFileSync(at('key'), randomBytes(64));
    fs.writeFileSync(at('passphrase'), randomBytes(32).toString('hex'));
    writeRandom(at('large'), SIZE);
    writeRandom(at('small'), 64);
    const build = (from, sectorSize, more = []) =>
      made(at, DISK, () => bootseal([...buildArgs(at, from, sectorSize), ...more]));
    const cp = made(at, ['copy'], () => {
      run('cp', [at('large'), at('copy')]);
      run('sync', [at('copy')]);
    });
    // Needs root, and encrypts in place: the copy that it works on is not counted.
    const withPeer = fs.existsSync(CRYPTSETUP) && process.getuid() === 0;
    if (withPeer) run('cp', [at('large'), at('peer')]);
    const large = timed(`a disk from ${SIZE} MiB`, rounds, {
      'bootseal, 4096': build('large', '4096'),
      'bootseal, 512': build('large', '512'),
      cp,
      'dd, direct': made(at, ['copy'], () => copyDirect(at)),
      ...(withPeer ? { 'cryptsetup, 4096': () => reencrypt(at) } : {}),
      ...(fs.existsSync(QEMU_IMG) ? { 'qemu-img, 512': made(at, ['converted'], () => convert(at)) } : {}),
    });
    const ours = large['bootseal, 4096'];
    row(`image build of ${SIZE} MiB, to cp and sync`, ratio(ours, large.cp), 1, 'x');
    row('the same in sectors of 512', ratio(large['bootseal, 512'], large.cp), 1, 'x');
    floor('its floor: what dd takes past the page cache', ratio(large['dd, direct'], ours) * 100, '%');
    const to = (peer) => large[peer] && ratio(large[peer], ours);
    atLeast('cryptsetup reencrypt, to image build', to('cryptsetup, 4096'), SIZE < 4096 ? 1.5 : 2, 'x');
    atLeast('qemu-img convert -O luks, to image build', to('qemu-img, 512'), 5, 'x');
    const mac = () => run(process.execPath, [path.join(import.meta.dirname, 'hmac.js'), `${SIZE}`]);
    const tagged = timed(`a disk with integrity tags from ${SIZE} MiB`, rounds, {
      'hmac, 4096': build('large', '4096', ['--integrity', 'hmac']),
      'hmac, 512': build('large', '512', ['--integrity', 'hmac']),
      'gcm, 4096': build('large', '4096', ['--integrity', 'gcm']),
      'HMAC alone': mac,
    });
    const speed = (times) => (SIZE * MIB) / 1e3 / median(times);
    atLeast('image build --integrity hmac, 4096', speed(tagged['hmac, 4096']), 300, 'MB/s');
    floor('its floor: HMAC alone on two threads', speed(tagged['HMAC alone']), 'MB/s');
    const small = timed('a disk from 64 MiB', rounds, { bootseal: build('small', '4096') });
    row('image build of 64 MiB', median(small.bootseal) / 1000, 0.5, 's');
    remove(at, DISK);
    row('its peak memory for the large one', peakMemory(buildArgs(at, 'large', '4096')), 250, 'MiB');
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** What makes new files: the old ones go before, since on some file systems that takes as long as a good part of the work. */
function made(at, files, run) {
  return { before: () => remove(at, files), run };
}

function remove(at, files) {
  for (const file of files) fs.rmSync(at(file), { force: true });
}

function buildArgs(at, from, sectorSize) {
  const args = ['image', 'build', '--from', at(from), '--key-file', at('key'), '--out', at('disk')];
  return [...args, '--sector-size', sectorSize];
}

/** Encrypts the peer's file once more, each time under a new header. */
function reencrypt(at) {
  fs.rmSync(at('header'), { force: true });
  const kdf = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file', at('key')];
  const how = ['--type', 'luks2', '--header', at('header'), '--resilience', 'none', '--sector-size', '4096'];
  run(CRYPTSETUP, ['reencrypt', '--encrypt', '-q', ...how, ...kdf, at('peer')]);
  run('sync', [at('peer')]);
}

/** Copies, in the way in which disks are written. */
function copyDirect(at) {
  run('dd', [`if=${at('large')}`, `of=${at('copy')}`, 'bs=1M', 'oflag=direct', 'conv=fsync']);
}

/** Makes a LUKS1 disk, with the threads and the order of writing that are the fastest (-W, -m 16, no page cache). */
function convert(at) {
  const secret = [
    '--object',
    `secret,id=key,file=${at('passphrase')}`,
    '-o',
    'key-secret=key,cipher-alg=aes-256,iter-time=500',
  ];
  const how = ['-f', 'raw', '-O', 'luks', '-W', '-m', '16', '-t', 'none'];
  // Its measuring of the processor fails now and then, at once and before it writes anything.
  const attempt = (left) => {
    try {
      run(QEMU_IMG, ['convert', ...how, ...secret, at('large'), at('converted')]);
    } catch (error) {
      if (left === 0 || !/accurate CPU usage/.test(error.message)) throw error;
      attempt(left - 1);
    }
  };
  attempt(9);
  run('sync', [at('converted')]);
}

function writeRandom(file, mebibytes) {
  const fd = fs.openSync(file, 'w');
  for (let i = 0; i < mebibytes; i += 16) fs.writeSync(fd, randomBytes(16 * MIB));
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/** GB/s of AES-256-XTS in memory on one thread, of this project and of OpenSSL through Node sector by sector. */
export function memory(rounds, { timed, atLeast }) {
  const mebibytes = 512;
  const script = path.join(import.meta.dirname, 'xts.js');
  for (const sectorSize of ['4096', '512']) {
    // Two processes of the same start, one of which does nothing: the difference is what encryption takes.
    const of = (what, count) => () =>
      run(process.execPath, ['--max-semi-space-size=32', script, what, sectorSize, count]);
    const times = timed(`AES-256-XTS in memory, ${mebibytes} MiB in sectors of ${sectorSize}`, rounds, {
      bootseal: of('bootseal', `${mebibytes}`),
      'node:crypto / 8': of('openssl', `${mebibytes / 8}`),
      'a mere start': of('bootseal', '1'),
    });
    const beyondStart = (runs) => median(runs) - median(times['a mere start']);
    const ms = beyondStart(times.bootseal);
    const theirs = 8 * beyondStart(times['node:crypto / 8']);
    atLeast(`AES-256-XTS, sectors of ${sectorSize}`, (mebibytes * MIB) / 1e6 / ms, 2.2, 'GB/s');
    atLeast('the same, to node:crypto sector by sector', theirs / ms, sectorSize === '512' ? 8 : 2, 'x');
  }
}

function run(program, args) {
  const ran = spawnSync(program, args, { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${ran.error?.message ?? ran.stderr}`);
}
