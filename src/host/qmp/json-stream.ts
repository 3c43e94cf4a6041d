/** @module JSON objects one after another in a stream of bytes, as QMP sends them: with or without line ends, in any pieces. */
import { BootsealError } from '../../core/errors.ts';

/** QEMU takes single quotes too (qobject/json-lexer.c). */
const QUOTES = [0x22, 0x27];
/** Below it no letter stands in a string. */
const LETTERS = 0x20;
const BACKSLASH = 0x5c;
const OPENING = [0x7b, 0x5b];
const CLOSING = [0x7d, 0x5d];
const BLANK = [0x20, 0x09, 0x0a, 0x0d];
const NEWLINE = 0x0a;

/** Real messages nest five deep. */
const MAX_DEPTH = 64;

/** What to do about messages that neither QEMU nor a client of it sends. */
export const NOT_QEMU = 'look what is at the other end of the socket: trust nothing that it says';

/** The text of one object or array, or what stood where one should begin. */
export interface JsonPiece {
  readonly kind: 'json' | 'garbage';
  readonly text: string;
}

/** Cuts a stream into pieces. It finds where a piece ends and leaves the rest of JSON's rules to JSON.parse. */
export class JsonStream {
  readonly #limit: number;
  readonly #name: string;
  #piece: number[] = [];
  #depth = 0;
  /** The quote that ends the string; 0 outside. */
  #quote = 0;
  #escaped = false;
  #inGarbage = false;

  /** @param limit bytes that a piece may have */
  constructor(name: string, limit: number) {
    this.#name = name;
    this.#limit = limit;
  }

  /** Returns the pieces that end in `bytes`. Throws `format` for a piece beyond the limit, or nested too deeply. */
  feed(bytes: Uint8Array): JsonPiece[] {
    const found: JsonPiece[] = [];
    for (const byte of bytes) {
      if (this.#piece.length === 0 && BLANK.includes(byte)) continue;
      this.#piece.push(byte);
      if (this.#piece.length > this.#limit) throw this.#refusal(`a message has more than ${this.#limit} bytes`);
      if (this.#ends(byte)) found.push(this.#take());
    }
    return found;
  }

  #ends(byte: number): boolean {
    // What begins as nothing known goes on to the end of its line.
    if (this.#depth === 0 && !OPENING.includes(byte)) this.#inGarbage = true;
    // So does a string that is not ended on its line.
    if (this.#quote !== 0 && byte < LETTERS) this.#inGarbage = true;
    if (this.#inGarbage) return byte === NEWLINE;
    if (this.#quote !== 0) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === this.#quote) this.#quote = 0;
    } else if (QUOTES.includes(byte)) this.#quote = byte;
    else if (OPENING.includes(byte)) this.#depth++;
    else if (CLOSING.includes(byte)) this.#depth--;
    if (this.#depth > MAX_DEPTH) throw this.#refusal(`a message is nested more than ${MAX_DEPTH} deep`);
    return this.#depth === 0;
  }

  #take(): JsonPiece {
    const text = Buffer.from(this.#piece).toString('utf8');
    const kind = this.#inGarbage ? 'garbage' : 'json';
    this.#piece = [];
    this.#inGarbage = false;
    this.#depth = 0;
    this.#quote = 0;
    this.#escaped = false;
    return { kind, text };
  }

  #refusal(reason: string): BootsealError {
    return new BootsealError('format', `${this.#name}: ${reason}`, { hint: NOT_QEMU });
  }
}
