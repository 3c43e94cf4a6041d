/** @module YAML as a tree of texts: nothing is guessed to be a number, a date or a boolean, and nothing can refer to anything. */
import { BootsealError } from '../core/errors.ts';

/**
 * Returns mappings, lists and texts of one YAML document. Throws `format` with line and column for what is no YAML, and for aliases and
 * tags: a page of aliases can stand for more memory than there is.
 */
export async function parseYaml(text: string, name: string): Promise<unknown> {
  checkNesting(text, name);
  const { isAlias, isNode, parseDocument, visit } = await import('yaml');
  try {
    const document = parseDocument(text, { schema: 'failsafe', version: '1.2', uniqueKeys: true, logLevel: 'error' });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) {
      const [{ line, col } = { line: 0, col: 0 }] = problem.linePos ?? [];
      throw refusal(name, `line ${line}, column ${col}: ${problem.message.split(/ at line |\n/)[0]}`);
    }
    visit(document, (_, node) => {
      if (isAlias(node)) throw refusal(name, 'an alias (*name) is not taken: write it out');
      if (isNode(node) && node.tag !== undefined) throw refusal(name, `a tag (${node.tag}) is not taken`);
    });
    return document.toJS();
  } catch (error) {
    if (error instanceof BootsealError) throw error;
    throw refusal(name, 'it is not YAML that can be read here');
  }
}

const MAX_BRACKETS = 256;
const MAX_INDENT = 128;

/** The parser recurses, and makes regular expressions as long as an indentation: deep nesting would end the process. */
function checkNesting(text: string, name: string): void {
  const brackets = text.match(/[[{]/g)?.length ?? 0;
  const indents = text.split(/[\r\n]/).map((line) => /^[\s\-?:|>]*/.exec(line)?.[0].length ?? 0);
  if (brackets > MAX_BRACKETS || indents.some((indent) => indent > MAX_INDENT))
    throw refusal(name, 'it nests too deeply');
}

const refusal = (name: string, reason: string): BootsealError =>
  new BootsealError('format', `${name}: ${reason}`, {
    hint: 'write plain mappings, lists and texts: docs/launch.md has examples',
  });
