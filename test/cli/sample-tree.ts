/** @module A small command tree with one of each thing that a man page or a completion script must deal with. */
import { Argument, Command, Option } from 'commander';
import { type CommandDescription, describeCommand } from '../../src/cli/tree.ts';

/** Returns `bootseal` with `measure sev`, `measure snp` and `lint`. */
export function sampleTree(): CommandDescription {
  const root = new Command('bootseal').description('Predicts things.').version('9');
  const measure = root
    .command('measure')
    .summary('predict a measurement')
    .description('Predicts.\n\nIn two paragraphs.');
  measure.command('sev').summary('SEV').description('.starts like a macro');
  measure
    .command('snp')
    .summary('SNP')
    .description("a \\ and the owner's quote")
    .requiredOption('-f, --firmware <file>', 'the firmware')
    .addOption(new Option('--format <name>', 'how to print').choices(['hex', 'base64']))
    .option('--json', 'as JSON')
    .addOption(new Option('--hidden').hideHelp())
    .addHelpText('after', '\nNames:\n  one\n\nExamples:\n  bootseal measure snp\n    -f x\n\nAnd a word.');
  root
    .command('lint')
    .summary('look at a firmware')
    .addArgument(new Argument('<platform>', 'which').choices(['sev', 'snp']));
  return describeCommand(root);
}
