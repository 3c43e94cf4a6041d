// Linux's driver efi_secret, which no Debian kernel has: built from Debian's source of the kernel against Debian's headers, for
// the kernel of the tests' guests. Nothing is installed.
'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { CACHE, inCache, makePart } = require('./package-tree.js');
const { GUEST_TREE } = require('./guest-packages.js');
const { ROOT } = require('./project.js');
const { attempt, excerpt, fail, moveToPlace, say } = require('./steps.js');

const PROVIDE = path.join(ROOT, 'test', 'e2e', 'efi-secret', 'provide.c');
const SOURCE = 'drivers/virt/coco/efi_secret/efi_secret.c';

/** Where the two modules are; undefined where there is no kernel for them. */
function efiSecretModules() {
  const modules = path.join(GUEST_TREE, 'usr', 'lib', 'modules');
  if (!fs.existsSync(modules)) return undefined;
  const [kernel] = fs.readdirSync(modules);
  const version = createHash('sha256').update(fs.readFileSync(PROVIDE)).digest('hex').slice(0, 12);
  return { kernel, folder: path.join(CACHE, `efi-secret-${kernel}-${version}`) };
}

/** Builds them into the cache, unless they are there. */
function buildEfiSecret() {
  const wanted = efiSecretModules();
  if (wanted === undefined || fs.existsSync(wanted.folder)) return;
  const problem = inCache(() => buildInto(wanted));
  if (problem === undefined) return;
  const { message, hint } = problem;
  if (process.env['CI'] === 'true') fail(message, hint);
  say(`${message}; the tests that need it are skipped`);
  say(`hint: ${hint}`);
}

function buildInto(wanted) {
  const { part, remove } = makePart();
  const start = Date.now();
  say("building Linux's driver efi_secret for the guests of the tests (150 MB to download, once) …");
  const problem = build(wanted.kernel, part);
  if (problem === undefined) {
    moveToPlace(path.join(part, 'modules'), wanted.folder);
    say(`built in ${((Date.now() - start) / 1000).toFixed(1)} s`);
  }
  remove();
  return problem === undefined ? undefined : { message: 'the driver efi_secret could not be built', hint: problem };
}

/** Returns what went wrong; undefined when nothing did. */
function build(kernel, folder) {
  const [version = ''] = /^\d+\.\d+/.exec(kernel) ?? [];
  const common = kernel.replace(/-[a-z]+-[a-z0-9]+$/, '-common');
  const packages = [
    `linux-headers-${kernel}`,
    `linux-headers-${common}`,
    `linux-kbuild-${version}`,
    `linux-source-${version}`,
  ];
  const tree = path.join(folder, 'tree');
  const modules = path.join(folder, 'modules');
  const headers = path.join(tree, 'usr', 'src', `linux-headers-${kernel}`);
  fs.mkdirSync(modules);
  const run = (program, args) => {
    const ran = attempt(program, args, { cwd: folder });
    return ran.ok ? undefined : `${program} ${args.join(' ')}: ${excerpt(ran.printed)}`;
  };
  const unpack = () => {
    const debs = fs.readdirSync(folder).filter((name) => name.endsWith('.deb'));
    return debs.map((deb) => run('dpkg-deb', ['-x', deb, tree])).find((problem) => problem !== undefined);
  };
  const archive = path.join(tree, 'usr', 'src', `linux-source-${version}.tar.xz`);
  const prepare = () => {
    const makefile = path.join(headers, 'Makefile');
    fs.writeFileSync(makefile, fs.readFileSync(makefile, 'utf8').replaceAll(' /usr/src/', ` ${tree}/usr/src/`));
    fs.copyFileSync(path.join(folder, `linux-source-${version}`, SOURCE), path.join(modules, 'efi_secret.c'));
    fs.copyFileSync(PROVIDE, path.join(modules, 'provide.c'));
    fs.writeFileSync(path.join(modules, 'Makefile'), 'obj-m := efi_secret.o provide.o\n');
  };
  return (
    run('apt-get', ['download', ...packages]) ??
    unpack() ??
    run('tar', ['-xJf', archive, '--occurrence=1', `linux-source-${version}/${SOURCE}`]) ??
    prepare() ??
    run('make', ['-C', headers, `M=${modules}`, 'modules'])
  );
}

module.exports = { buildEfiSecret, efiSecretModules };
