/**
 * @module A client of QMP, QEMU's monitor protocol (qemu docs/interop/qmp-spec.rst), on a Unix socket. Whoever is at the other end is
 * the host, so every answer is bounded in size and time and checked before it is believed to be one.
 */
import * as net from 'node:net';
import { BootsealError } from '../../core/errors.ts';
import { parseObject } from '../../core/json-fields.ts';
import { checkSocketPath } from '../socket-path.ts';
import { JsonStream, NOT_QEMU } from './json-stream.ts';

/** Answers to what is asked here have some KiB. */
const LIMIT = 1 << 20;
/** QEMU serves one client at a time, and the next one hears nothing until the first has gone; milliseconds. */
const GREETING_TIME = 10_000;
const ANSWER_TIME = 60_000;

const ALIVE = 'look whether QEMU still runs, and what its log says';

/** QEMU's answer that it will not do what it was asked. */
export class QmpRefusal extends BootsealError {
  /** QEMU's own words, cut to what fits a line. */
  readonly words: string;

  constructor(command: string, words: string) {
    super('tool', `QEMU refuses ${command}: ${words}`, {
      hint: "look into QEMU's log on the host: the reason is its own",
    });
    this.words = words;
  }
}

interface Waiting {
  readonly command: string;
  readonly id: string;
  resolve(value: unknown): void;
  reject(error: BootsealError): void;
}

/** A connection on which QEMU takes commands. */
export class QmpClient {
  readonly #socket: net.Socket;
  readonly #stream: JsonStream;
  readonly #onEvent: (name: string, data: unknown) => void;
  #greeting: unknown;
  #waiting: Waiting | undefined;
  #lost: BootsealError | undefined;
  #count = 0;

  private constructor(socket: net.Socket, name: string, onEvent: (name: string, data: unknown) => void) {
    this.#socket = socket;
    this.#stream = new JsonStream(name, LIMIT);
    this.#onEvent = onEvent;
  }

  /**
   * Connects and negotiates. Throws `usage` for a path that no socket can have, `io` when nobody answers, `format` when it is no QMP.
   *
   * @param onEvent is told of QEMU's events, such as SHUTDOWN
   */
  static async connect(
    path: string,
    onEvent: (name: string, data: unknown) => void = () => undefined,
  ): Promise<QmpClient> {
    const socket = await open(path);
    const client = new QmpClient(socket, path, onEvent);
    const oneAtATime = 'QEMU serves one QMP client at a time: is another one connected?';
    const greeting = client.#wait('greeting', 'greeting', GREETING_TIME, oneAtATime);
    socket.on('data', (bytes) => client.#take(bytes));
    socket.on('error', () => client.#fail(undefined));
    socket.on('close', () => client.#fail(undefined));
    try {
      await greeting;
      await client.execute('qmp_capabilities');
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** What QEMU said of itself when the connection was made. */
  get greeting(): unknown {
    return this.#greeting;
  }

  /**
   * Runs one command at a time and returns its answer. Throws {@link QmpRefusal} when QEMU will not, `io` when the connection is lost or
   * nothing comes: then nobody knows whether the command was carried out.
   */
  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    this.#count++;
    const id = `bootseal-${this.#count}`;
    const answer = this.#wait(command, id, ANSWER_TIME);
    this.#socket.write(
      `${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`,
    );
    return answer;
  }

  /** Ends the connection; what was asked and not answered fails. */
  close(): void {
    this.#socket.destroy();
  }

  async #wait(command: string, id: string, time: number, hint = ALIVE): Promise<unknown> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#waiting !== undefined) throw new Error('one command at a time');
    const late = () =>
      this.#fail(new BootsealError('io', `QEMU did not answer in ${time / 1000} s (${command})`, { hint }));
    const timer = setTimeout(late, time);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { command, id, resolve, reject };
      });
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  #take(bytes: Uint8Array): void {
    try {
      for (const { text } of this.#stream.feed(bytes)) this.#message(parseObject(text));
    } catch (error) {
      this.#fail(error instanceof BootsealError ? error : undefined);
    }
  }

  #message(message: Record<string, unknown> | undefined): void {
    if (message === undefined)
      throw new BootsealError('format', 'QMP: an answer is no JSON object', { hint: NOT_QEMU });
    if (typeof message['event'] === 'string') {
      this.#onEvent(message['event'], message['data']);
      return;
    }
    const waiting = this.#waiting;
    if (waiting?.id === 'greeting') {
      if (!('QMP' in message))
        throw new BootsealError('format', 'QMP: whoever answers is not QEMU', { hint: NOT_QEMU });
      this.#greeting = message['QMP'];
      this.#waiting = undefined;
      waiting.resolve(undefined);
      return;
    }
    // An answer to nothing that was asked is not taken for one.
    if (waiting === undefined || message['id'] !== waiting.id)
      throw new BootsealError('format', 'QMP: an answer without a question', { hint: NOT_QEMU });
    this.#waiting = undefined;
    if ('return' in message) waiting.resolve(message['return']);
    else waiting.reject(new QmpRefusal(waiting.command, wordsOf(message['error'])));
  }

  #fail(reason: BootsealError | undefined): void {
    const command = this.#waiting?.command;
    const doing = command === undefined ? '' : ` before it answered ${command}`;
    this.#lost ??= reason ?? new BootsealError('io', `the connection to QEMU was lost${doing}`, { hint: ALIVE });
    this.#socket.destroy();
    this.#waiting?.reject(this.#lost);
  }
}

/** The most of QEMU's words that a message repeats. */
const WORDS = 300;

function wordsOf(error: unknown): string {
  const { desc } = (error ?? {}) as { desc?: unknown };
  return typeof desc === 'string' ? desc.slice(0, WORDS) : 'no reason is given';
}

async function open(path: string): Promise<net.Socket> {
  checkSocketPath(path);
  return new Promise((resolve, reject) => {
    const socket = net.createConnection({ path });
    const refused = (cause: NodeJS.ErrnoException) => {
      const reason = REASONS[cause.code ?? ''] ?? cause.code ?? 'unknown error';
      reject(
        new BootsealError('io', `cannot connect to ${path}: ${reason}`, {
          hint: 'give the socket of -qmp unix:SOCKET,server=on,wait=off',
          cause,
        }),
      );
    };
    socket.once('error', refused);
    socket.once('connect', () => {
      socket.off('error', refused);
      resolve(socket);
    });
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nobody listens there',
  EACCES: 'permission denied',
  ENOTSOCK: 'it is no socket',
};
