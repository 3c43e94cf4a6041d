/** @module The completion script for zsh. */
import type { CommandDescription } from '../tree.ts';
import { VERSION } from '../version.ts';
import { type Place, placesBelow, quoted } from './words.ts';

/** Returns the script; it works from a folder of `fpath` as well as when it is sourced. */
export function zshScript(root: CommandDescription): string {
  const places = placesBelow(root);
  return `#compdef bootseal
# zsh completion for bootseal ${VERSION}, printed by: bootseal completions zsh
_bootseal() {
  local at=bootseal i
  for ((i = 2; i < CURRENT; i++)); do
    case "$at $words[i]" in
      ${patterns(places.slice(1).map((place) => place.at))}) at="$at $words[i]" ;;
    esac
  done
  case "$at $words[CURRENT-1]" in
${places.flatMap(valueCases).join('\n')}
  esac
  local -a offered options
  case "$at" in
${places.map(wordCase).join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
  elif (( $#offered )); then
    _describe word offered
  else
    _files
  fi
}
if [[ $funcstack[1] == _bootseal ]]; then
  _bootseal "$@"
else
  compdef _bootseal bootseal
fi
`;
}

function valueCases({ at, options }: Place): string[] {
  return options
    .filter((option) => option.takesValue)
    .map(({ names, choices }) => {
      const reply = choices.length === 0 ? '_files' : `compadd -- ${choices.map(quoted).join(' ')}`;
      return `    ${patterns(names.map((name) => `${at} ${name}`))}) ${reply}; return ;;`;
    });
}

function wordCase({ at, commands, options, values }: Place): string {
  const offered = [...commands.map(({ name, summary }) => entry(name, summary)), ...values.map(quoted)];
  const names = options.flatMap((option) => option.names.map((name) => entry(name, option.description)));
  return `    ${quoted(at)}) offered=(${offered.join(' ')}) options=(${names.join(' ')}) ;;`;
}

function entry(name: string, description: string): string {
  return quoted(`${name}:${description}`);
}

function patterns(texts: readonly string[]): string {
  return texts.map(quoted).join(' | ');
}
