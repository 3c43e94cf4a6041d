// `npm run bench [-- --rounds N] [--only measure|image]`: how fast the command is, as ratios of programs that run in turn on the
// same machine.
// With BOOTSEAL_PEER_SEV_SNP_MEASURE=path/to/sev-snp-measure.py (virtee/sev-snp-measure, which is no part of this project)
// it is compared with that as well.
import { availableParallelism } from 'node:os';
import { images, memory } from './image.js';
import { makeInputs } from './inputs.js';
import { bootseal, floor, peakMemory, peer, peerScript, searchFloor, twiceAtOnce } from './programs.js';
import { best, median, ratio, runInTurn } from './timing.js';

const MODELS = [
  'EPYC-v1',
  'EPYC-v4',
  'EPYC-Rome',
  'EPYC-Rome-v3',
  'EPYC-Milan',
  'EPYC-Milan-v2',
  'EPYC-Genoa',
  'EPYC-Turin',
];
const VCPUS = 64;
const CONFIGURATIONS = VCPUS * MODELS.length;
/** Runs of the peer that its time for all configurations is extrapolated from. */
const SAMPLE = [1, 9, 18, 27, 36, 45, 54, 64].map((vcpus, i) => ({ vcpus, cpu: MODELS[i] }));

const rows = [];

function row(what, value, target, unit) {
  const verdict = value === undefined ? 'not measured' : value <= target ? 'pass' : 'MISS';
  if (verdict === 'MISS') process.exitCode = 1;
  rows.push([what, value === undefined ? '-' : `${value.toFixed(2)} ${unit}`, `<= ${target} ${unit}`, verdict]);
}

function atLeast(what, value, target, unit = 'x') {
  const verdict = value === undefined ? 'not measured' : value >= target ? 'pass' : 'MISS';
  if (verdict === 'MISS') process.exitCode = 1;
  const digits = target < 10 ? 2 : 0;
  rows.push([what, value === undefined ? '-' : `${value.toFixed(digits)} ${unit}`, `>= ${target} ${unit}`, verdict]);
}

/** Shows what the machine allows at the most, beside what was reached. */
function limit(what, value, unit, digits = 0) {
  rows.push([what, `${value.toFixed(digits)} ${unit}`, '', '']);
}

function single({ firmware }, rounds) {
  const times = timed('cold measure snp of a 4 MiB image', rounds, {
    bootseal: () => bootseal(['measure', 'snp', '--firmware', firmware, '--cpu', 'EPYC-v4']),
    floor: () => floor(firmware),
  });
  row('measure snp, 4 MiB, to the bare hashing in node -e', ratio(times.bootseal, times.floor), 1.35, 'x');
}

function direct({ firmware, kernel, initrd }, rounds) {
  const ours = ['measure', 'snp', '--firmware', firmware, '--kernel', kernel, '--initrd', initrd, '--cpu', 'EPYC-v4'];
  const theirs = ['--mode', 'snp', '--vcpus', '1', '--vcpu-type', 'EPYC-v4', '--ovmf', firmware, '--kernel', kernel];
  const withPeer = peerScript === undefined ? {} : { peer: () => peer([...theirs, '--initrd', initrd]) };
  const title = 'the same with a kernel and an initrd, 75 MiB together';
  const times = timed(title, rounds, { bootseal: () => bootseal(ours), ...withPeer });
  row('measure snp, 75 MiB, to sev-snp-measure', times.peer && ratio(times.bootseal, times.peer), 1, 'x');
  row('its peak memory', median(Array.from({ length: 3 }, () => peakMemory(ours))), 75, 'MiB');
}

function matrix({ firmware }, rounds) {
  const cpus = MODELS.join(',');
  const all = (vcpus) => ['measure', 'snp', '--firmware', firmware, '--vcpus', vcpus, '--cpu', cpus];
  const sampled = () =>
    SAMPLE.map(({ vcpus, cpu }) =>
      peer(['--mode', 'snp', '--vcpus', `${vcpus}`, '--vcpu-type', cpu, '--ovmf', firmware]),
    ).join('');
  const times = timed(`a matrix of ${CONFIGURATIONS} configurations`, rounds, {
    bootseal: () => bootseal(all(`1-${VCPUS}`)),
    [`only ${VCPUS} vCPUs`]: () => bootseal(all(`${VCPUS}`)),
    ...(peerScript === undefined ? {} : { [`peer, ${SAMPLE.length} runs`]: sampled }),
  });
  const eight = times[`peer, ${SAMPLE.length} runs`];
  atLeast(
    `${CONFIGURATIONS} configurations, to as many runs of sev-snp-measure (extrapolated from ${SAMPLE.length})`,
    eight && ratio(eight, times.bootseal) * (CONFIGURATIONS / SAMPLE.length),
    50,
  );
  // The eight guests with 64 vCPUs contain every step of the other 504: those must come almost for nothing.
  row(
    `${CONFIGURATIONS} configurations, to the ${MODELS.length} longest alone`,
    ratio(times.bootseal, times[`only ${VCPUS} vCPUs`]),
    1.35,
    'x',
  );
}

/** Digests that nothing gives, so that all of the default search is done. */
const NOWHERE = '00'.repeat(48);
const NOWHERE_SEV = '00'.repeat(32);

function search({ firmware, kernel }, rounds) {
  // The firmware again is as good an initrd as any of its size.
  const files = ['--firmware', firmware, '--kernel', kernel, '--initrd', firmware, '--cmdline', 'quiet'];
  const all = () => bootseal(['identify', NOWHERE, ...files, '--json'], 1);
  const { tried } = JSON.parse(all());
  const times = timed(`identify: the default search, ${tried} launches`, rounds, {
    bootseal: all,
    floor: () => searchFloor(tried),
  });
  row('identify, the default search', median(times.bootseal) / 1000, 3, 's');
  limit('launches a second that are nothing but their hash', tried / (median(times.floor) / 1000), '/s');
  searchSev(files, rounds);
  scaling(files, rounds);
}

function searchSev(files, rounds) {
  const all = () => bootseal(['identify', NOWHERE_SEV, ...files, '--json'], 1);
  const { tried } = JSON.parse(all());
  const times = timed(`identify: the default search of SEV and SEV-ES, ${tried} launches`, rounds, { bootseal: all });
  row('identify, the default search of SEV and SEV-ES', median(times.bootseal) / 1000, 3, 's');
}

/** A search in which starting the command and its threads hardly counts: guests with up to so many vCPUs. */
const LONG = 256;

function scaling(files, rounds) {
  const on = (threads, vcpus) => ['identify', NOWHERE, ...files, '--json', '--threads', threads, '--vcpus', vcpus];
  const long = (threads) => bootseal(on(threads, `${LONG}`), 1);
  const { tried } = JSON.parse(long('2'));
  const programs = {
    'one thread': () => long('1'),
    'two threads': () => long('2'),
    'two at once': () => twiceAtOnce(on('1', `${LONG}`)),
  };
  const times = timed(`identify: guests with up to ${LONG} vCPUs, ${tried} launches`, Math.min(rounds, 5), programs);
  const rate = (threads) => tried / (median(times[threads]) / 1000);
  atLeast('launches a second on one thread', rate('one thread'), 100_000, '/s');
  const processors = availableParallelism();
  atLeast('launches a second on two threads', processors < 2 ? undefined : rate('two threads'), 180_000, '/s');
  atLeast('two threads, to one', processors < 2 ? undefined : ratio(times['one thread'], times['two threads']), 1.8);
  const atOnce = ratio(times['one thread'], times['two at once']) * 2;
  limit('its limit: two searches of one thread at the same time', atOnce, 'x', 2);
  const memory = (vcpus) => median(Array.from({ length: 3 }, () => peakMemory(on('2', vcpus), 1)));
  row(`peak memory for ${LONG} vCPUs, to that for 64`, memory(`${LONG}`) / memory('64'), 1.1, 'x');
}

/** Times the programs, prints the times, and returns them. */
function timed(title, rounds, programs) {
  const runs = runInTurn(rounds, programs);
  print(title, runs);
  return runs;
}

/** Fails unless both programs say the same: only then is their speed worth comparing. */
function agree({ firmware, kernel, initrd }) {
  if (peerScript === undefined) return;
  for (const { vcpus, cpu } of SAMPLE) {
    const files = ['--kernel', kernel, '--initrd', initrd];
    const ours = bootseal(['measure', 'snp', '--firmware', firmware, '--vcpus', `${vcpus}`, '--cpu', cpu, ...files]);
    const theirs = peer(['--mode', 'snp', '--vcpus', `${vcpus}`, '--vcpu-type', cpu, '--ovmf', firmware, ...files]);
    if (ours.trim() !== theirs.trim()) throw new Error(`${cpu}, ${vcpus} vCPUs: bootseal and its peer do not agree`);
  }
}

function print(title, runs) {
  console.log(title);
  for (const [name, times] of Object.entries(runs)) {
    const ms = (value) => `${value.toFixed(1).padStart(9)} ms`;
    console.log(`  ${name.padEnd(16)} ${ms(median(times))}   best ${ms(best(times))}`);
  }
}

function printRows() {
  const titles = ['what', 'ratio', 'target', 'verdict'];
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((cells) => cells[i].length)));
  console.log();
  for (const cells of [titles, ...rows])
    console.log(
      cells
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
}

const option = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined);
const rounds = Math.max(5, Number(option('--rounds') ?? 9) || 0);
const only = option('--only');
console.log(
  `medians of ${rounds} rounds, in which the programs run in turn; ratios are medians of the ratios in each round`,
);
if (only !== 'image') measurements();
if (only !== 'measure') {
  memory(rounds, { timed, atLeast });
  images(rounds, { timed, row, atLeast, floor: limit });
}
printRows();

function measurements() {
  const inputs = makeInputs();
  try {
    agree(inputs);
    single(inputs, rounds);
    direct(inputs, rounds);
    matrix(inputs, rounds);
    search(inputs, rounds);
    if (peerScript === undefined)
      console.log('no peer: set BOOTSEAL_PEER_SEV_SNP_MEASURE to compare with sev-snp-measure.py');
  } finally {
    inputs.remove();
  }
}
