/** @module The completion script for fish. */
import type { CommandDescription } from '../tree.ts';
import { VERSION } from '../version.ts';
import { type Place, placesBelow, quoted } from './words.ts';

/** Returns the script. */
export function fishScript(root: CommandDescription): string {
  const places = placesBelow(root);
  return `# fish completion for bootseal ${VERSION}, printed by: bootseal completions fish
function __bootseal_at
  set -l at bootseal
  for word in (commandline -opc)
    switch "$at $word"
      case ${places
        .slice(1)
        .map((place) => quoted(place.at))
        .join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
${places.flatMap(lines).join('\n')}
`;
}

function lines({ at, commands, options, values }: Place): string[] {
  const here = `complete -c bootseal -n ${quoted(`__bootseal_at "${at}"`)}`;
  return [
    ...commands.map(({ name, summary }) => `${here} -f -a ${quoted(name)} -d ${quoted(summary)}`),
    ...values.map((value) => `${here} -f -a ${quoted(value)}`),
    ...options.map(({ names, takesValue, choices, description }) => {
      const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
      const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : takesValue ? ' -r -F' : '';
      return `${here} ${flags.join(' ')}${value} -d ${quoted(description)}`;
    }),
  ];
}
