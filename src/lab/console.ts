/** @module What a guest prints on its console, as lines that are fit for a terminal. */
import * as fs from 'node:fs/promises';

const PAUSE = 100;
const PIECE = 1 << 16;
/** A guest that prints without end of line is cut here; letters. */
const LINE = 4096;

/** Escape sequences (ECMA-48) and what else is no letter: a guest must not command the terminal it is shown on. */
const ESCAPE = String.fromCharCode(0x1b);
const UNFIT = new RegExp(`${ESCAPE}(?:\\[[0-9;?=]*[A-Za-z]|.)|(?!\\t)\\p{Cc}`, 'gu');

/** Returns the text without what commands a terminal. */
export function plainText(text: string): string {
  return text.replaceAll(UNFIT, '');
}

function takeInPieces(line: string, take: (line: string) => void): void {
  for (let at = 0; at === 0 || at < line.length; at += LINE) take(plainText(line.slice(at, at + LINE)));
}

/** Follows the file that a console goes to and gives each line to `take`, until `ended` is settled and everything is read. */
export async function followConsole(
  file: string,
  ended: Promise<unknown>,
  take: (line: string) => void,
): Promise<void> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  const over = ended.then(end, end);
  const handle = await fs.open(file, 'r');
  try {
    const piece = Buffer.alloc(PIECE);
    let rest = '';
    for (;;) {
      const wasOver = isOver;
      const { bytesRead } = await handle.read(piece, 0, PIECE, null);
      const lines = (rest + piece.toString('latin1', 0, bytesRead)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) takeInPieces(line, take);
      if (rest.length > LINE) {
        takeInPieces(rest, take);
        rest = '';
      }
      if (bytesRead > 0) continue;
      if (wasOver) break;
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, PAUSE))]);
    }
    if (rest !== '') take(plainText(rest));
  } finally {
    await handle.close();
  }
}
