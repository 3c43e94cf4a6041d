/** @module The completion script for bash. */
import type { CommandDescription } from '../tree.ts';
import { VERSION } from '../version.ts';
import { type Place, placesBelow, quoted } from './words.ts';

/** Returns the script; where it offers nothing, bash completes file names. */
export function bashScript(root: CommandDescription): string {
  const places = placesBelow(root);
  return `# bash completion for bootseal ${VERSION}, printed by: bootseal completions bash
_bootseal() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} at=bootseal i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${patterns(places.slice(1).map((place) => place.at))}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$at $before" in
${places.flatMap(valueCases).join('\n')}
  esac
  local words= options=
  case "$at" in
${places.map(wordCase).join('\n')}
  esac
  [[ $word == -* ]] && words=$options
  [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o bashdefault -o default -F _bootseal bootseal
`;
}

function valueCases({ at, options }: Place): string[] {
  return options
    .filter((option) => option.takesValue)
    .map(({ names, choices }) => {
      const reply = choices.length === 0 ? '' : `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$word")); `;
      return `    ${patterns(names.map((name) => `${at} ${name}`))}) ${reply}return ;;`;
    });
}

function wordCase({ at, commands, options, values }: Place): string {
  const words = [...commands.map((command) => command.name), ...values].join(' ');
  const names = options.flatMap((option) => option.names).join(' ');
  return `    ${quoted(at)}) words=${quoted(words)} options=${quoted(names)} ;;`;
}

function patterns(texts: readonly string[]): string {
  return texts.map(quoted).join(' | ');
}
