/**
 * @module The QMP socket that the lab shows to the world: the real QEMU's, except that the commands of SEV are answered by the lab, as
 * a QEMU on SEV hardware would. Greeting, negotiation, events, ids and every other command go through.
 */
import * as net from 'node:net';
import { BootsealError } from '../core/errors.ts';
import { JsonStream, parseObject } from '../host/qmp/json-stream.ts';
import { checkSocketPath } from '../host/socket-path.ts';

/** A secret in base64 has 22 KiB; bytes. */
const COMMAND_LIMIT = 1 << 20;
const ANSWER_LIMIT = 1 << 24;
/** Commands that a client may send ahead. */
const AHEAD = 64;

const SOCKET = 'choose a path in a folder of yours, that does not exist yet';

/** Why a command fails, in QEMU's words. */
export class QmpFailure extends Error {}

/** The lab's own commands by name; each returns what stands under `return`, or throws {@link QmpFailure}. */
export type FrontCommands = ReadonlyMap<string, (args: Readonly<Record<string, unknown>>) => unknown>;

/** What a front needs. */
export interface FrontOptions {
  /** Where it listens. */
  readonly path: string;
  /** A QMP socket of the real QEMU that nobody else uses. */
  readonly upstream: string;
  readonly commands: FrontCommands;
  /** Runs before `cont` reaches the real QEMU; what it throws is the answer. */
  beforeCont(): unknown;
}

/** A front that listens. */
export interface Front {
  close(): Promise<void>;
}

/** Listens; like QEMU it serves one client after another. Throws `usage` for a path that no socket can have, `io` when it cannot be made. */
export async function openFront(options: FrontOptions): Promise<Front> {
  checkSocketPath(options.path);
  const server = net.createServer({ allowHalfOpen: false });
  const clients = new Set<net.Socket>();
  let turn: Promise<void> = Promise.resolve();
  server.on('connection', (socket) => {
    clients.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => clients.delete(socket));
    turn = turn.then(() => serve(socket, options));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new BootsealError('io', `cannot listen on ${options.path}`, { hint: SOCKET, cause })),
    );
    server.listen(options.path, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        for (const socket of clients) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** Serves one client until one side goes away. */
function serve(client: net.Socket, options: FrontOptions): Promise<void> {
  return new Promise((resolve) => {
    if (client.destroyed) return resolve();
    const session = new Session(client, options);
    client.once('close', () => {
      session.end();
      resolve();
    });
    return undefined;
  });
}

/** One client's conversation: commands in the order they came, each answered before the next is looked at. */
class Session {
  readonly #client: net.Socket;
  readonly #qemu: net.Socket;
  readonly #options: FrontOptions;
  readonly #fromClient = new JsonStream('QMP client', COMMAND_LIMIT);
  readonly #fromQemu = new JsonStream('QEMU', ANSWER_LIMIT);
  readonly #queue: { kind: 'json' | 'garbage'; text: string }[] = [];
  #negotiated = false;
  #answered: ((isReturn: boolean) => void) | undefined;
  #busy = false;

  constructor(client: net.Socket, options: FrontOptions) {
    this.#client = client;
    this.#options = options;
    this.#qemu = net.createConnection({ path: options.upstream });
    this.#qemu.on('error', () => this.#client.destroy());
    this.#qemu.on('close', () => this.#client.destroy());
    this.#qemu.on('data', (bytes) => this.#guard(() => this.#relay(bytes)));
    client.on('data', (bytes) => this.#guard(() => this.#take(bytes)));
  }

  end(): void {
    this.#answered?.(false);
    this.#qemu.destroy();
  }

  /** A client that sends what no client would is told so and let go, as is one that a broken QEMU confuses. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof BootsealError)) throw error;
      this.#say({ error: { class: 'GenericError', desc: error.message } });
      this.#client.end();
    }
  }

  #relay(bytes: Uint8Array): void {
    for (const { text } of this.#fromQemu.feed(bytes)) {
      this.#client.write(`${text}\r\n`);
      const message = parseObject(text) ?? {};
      if ('return' in message || 'error' in message) this.#answered?.('return' in message);
    }
  }

  #take(bytes: Uint8Array): void {
    this.#queue.push(...this.#fromClient.feed(bytes));
    if (this.#queue.length > AHEAD)
      throw new BootsealError('format', 'QMP client: too many commands ahead of their answers', {
        hint: 'wait for answers before you send more',
      });
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let piece = this.#queue.shift(); piece !== undefined; piece = this.#queue.shift()) {
      if (this.#client.destroyed) break;
      const message = piece.kind === 'json' ? parseObject(piece.text) : undefined;
      if (message === undefined)
        this.#say({ error: { class: 'GenericError', desc: 'JSON parse error, expecting value' } });
      else await this.#command(message, piece.text);
    }
    this.#busy = false;
  }

  async #command(message: Record<string, unknown>, text: string): Promise<void> {
    const { execute, id } = message;
    const own = this.#negotiated && typeof execute === 'string' ? this.#options.commands.get(execute) : undefined;
    if (own !== undefined) return this.#answer(id, () => own(argumentsOf(message)));
    if (this.#negotiated && execute === 'cont') {
      const failure = failureOf(() => this.#options.beforeCont());
      if (failure !== undefined) return this.#answer(id, () => Promise.reject(failure));
    }
    const isReturn = await this.#forward(text);
    if (execute === 'qmp_capabilities' && isReturn) this.#negotiated = true;
  }

  #forward(text: string): Promise<boolean> {
    return new Promise((resolve) => {
      this.#answered = (isReturn) => {
        this.#answered = undefined;
        resolve(isReturn);
      };
      this.#qemu.write(`${text}\n`);
      if (this.#client.destroyed) this.#answered(false);
    });
  }

  async #answer(id: unknown, work: () => unknown): Promise<void> {
    const own = id === undefined ? {} : { id };
    try {
      this.#say({ return: (await work()) ?? {}, ...own });
    } catch (error) {
      if (!(error instanceof QmpFailure || error instanceof BootsealError)) throw error;
      this.#say({ error: { class: 'GenericError', desc: error.message }, ...own });
    }
  }

  #say(message: object): void {
    if (!this.#client.destroyed) this.#client.write(`${JSON.stringify(message)}\r\n`);
  }
}

function failureOf(work: () => void): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

function argumentsOf({ arguments: args = {} }: Record<string, unknown>): Record<string, unknown> {
  if (typeof args === 'object' && args !== null && !Array.isArray(args)) return args as Record<string, unknown>;
  throw new QmpFailure("QMP input member 'arguments' must be an object");
}
