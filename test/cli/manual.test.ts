import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { manualPages } from '../../src/cli/manual.ts';
import { describeWith } from '../needs.ts';
import { sampleTree } from './sample-tree.ts';

const pages = manualPages(sampleTree());
const page = (name: string) => pages.get(name) ?? '';

describe('man pages', () => {
  it('are one for the program and one for each command of the first level', () => {
    expect([...pages.keys()]).toEqual(['bootseal.1', 'bootseal-measure.1', 'bootseal-lint.1']);
  });

  it('name the command, every way to call it, its options and its examples', () => {
    const measure = page('bootseal-measure.1');
    expect(measure).toContain('.SH NAME\nbootseal\\-measure \\- predict a measurement\n');
    expect(measure).toContain('.B bootseal measure sev [options]\n.br\n.B bootseal measure snp [options]\n');
    expect(measure).toContain('.TP\n.B \\-f, \\-\\-firmware <file>\nthe firmware\n');
    expect(measure).toContain('how to print (choices: \\(dqhex\\(dq, \\(dqbase64\\(dq)\n');
    expect(measure).toContain(
      '.SS Names\n.RS\n.nf\none\n\n.fi\n.RE\n.SS Examples\n.RS\n.nf\nbootseal measure snp\n  \\-f x\n\n.fi\n.RE\n.PP\nAnd a word.\n',
    );
    expect(measure).not.toContain('hidden');
    expect(measure).toContain('.SH SEE ALSO\n.BR bootseal (1) ,\n.BR bootseal\\-lint (1)\n');
  });

  it('list the commands and the exit statuses', () => {
    const root = page('bootseal.1');
    expect(root).toContain('.TP\n.BR bootseal\\-measure (1)\npredict a measurement\n');
    expect(root).toContain('.TP\n1\na mismatch: ');
  });

  it('escape what roff would take for its own language', () => {
    const measure = page('bootseal-measure.1');
    expect(measure).toContain('\n\\&.starts like a macro\n');
    expect(measure).toContain("a \\e and the owner's quote\n");
    expect(measure).toContain('Predicts.\n.PP\nIn two paragraphs.\n');
  });
});

describeWith(
  { name: 'groff', files: ['/usr/bin/groff'], how: 'run npm test as root once, or install groff-base' },
  'groff, with every warning on',
  () => {
    it.each([...pages])('has none for %s', (_name, text) => {
      const args = ['-man', '-Tutf8', '-ww', '-z'];
      const { status, stderr } = spawnSync('groff', args, { input: text, encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    });
  },
);
