/**
 * @module The QMP socket that the lab shows to the world: the real QEMU's, except that the commands of SEV are answered by the lab, as
 * a QEMU on SEV hardware would. Greeting, negotiation, events, ids and every other command go through.
 */
import * as net from 'node:net';
import { BootsealError } from '../core/errors.ts';
import { parseObject } from '../core/json-fields.ts';
import { type JsonPiece, JsonStream } from '../host/qmp/json-stream.ts';
import { checkSocketPath } from '../host/socket-path.ts';
import { argumentsOf, type Members, QmpFailure, type QmpInput, readInput } from './qmp-input.ts';

/** A secret in base64 has 22 KiB; bytes. */
const COMMAND_LIMIT = 1 << 20;
const ANSWER_LIMIT = 1 << 24;
/** Commands that are read ahead of their answers; who sends more has to wait, as QEMU does it. */
const AHEAD = 64;

const SOCKET = 'choose a path in a folder of yours, that does not exist yet';

/** The lab's own commands by name; each returns what stands under `return`, or throws {@link QmpFailure}. */
export type FrontCommands = ReadonlyMap<string, (args: Members) => unknown>;

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
  readonly #queue: JsonPiece[] = [];
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
      const message = parseObject(text);
      // An id of 1e999 comes back as inf, which is no JSON; events have none.
      if (message === undefined || 'return' in message || 'error' in message)
        this.#answered?.(message !== undefined && 'return' in message);
    }
  }

  #take(bytes: Uint8Array): void {
    this.#queue.push(...this.#fromClient.feed(bytes));
    if (this.#queue.length > AHEAD) this.#client.pause();
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let piece = this.#queue.shift(); piece !== undefined; piece = this.#queue.shift()) {
      if (this.#client.destroyed) break;
      if (this.#queue.length <= AHEAD) this.#client.resume();
      const input = outcomeOf(() => readInput(piece));
      if ('failure' in input) this.#refuse(input.failure, undefined);
      else await this.#command(input.value);
    }
    this.#busy = false;
  }

  async #command({ message, text }: QmpInput): Promise<void> {
    const { execute, id } = message;
    const own = this.#negotiated && typeof execute === 'string' ? this.#options.commands.get(execute) : undefined;
    if (own !== undefined) return this.#answer(id, () => own(argumentsOf(message)));
    if (this.#negotiated && execute === 'cont') {
      const done = outcomeOf(() => {
        checkCont(argumentsOf(message));
        return this.#options.beforeCont();
      });
      if ('failure' in done) return this.#refuse(done.failure, id);
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
    try {
      this.#say({ return: (await work()) ?? {}, ...withId(id) });
    } catch (error) {
      this.#refuse(error, id);
    }
  }

  /** Whatever went wrong, such as no room for the guest's memory, its client has to know. */
  #refuse(error: unknown, id: unknown): void {
    const desc = error instanceof Error ? error.message : String(error);
    this.#say({ error: { class: 'GenericError', desc }, ...withId(id) });
  }

  #say(message: object): void {
    if (!this.#client.destroyed) this.#client.write(`${JSON.stringify(message)}\r\n`);
  }
}

const withId = (id: unknown) => (id === undefined ? {} : { id });

function outcomeOf<T>(work: () => T): { readonly value: T } | { readonly failure: unknown } {
  try {
    return { value: work() };
  } catch (failure) {
    return { failure };
  }
}

/** What QEMU would refuse must not be told to the platform. */
function checkCont(args: Members): void {
  const [name] = Object.keys(args);
  if (name !== undefined) throw new QmpFailure(`Parameter '${name}' is unexpected`);
}
