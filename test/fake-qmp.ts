/** @module QMP servers made up by tests: a QEMU that answers what it is told to, or whatever a hostile host would. */
import * as net from 'node:net';

/** Makes a server on `path`; `talk` is called for each client. */
export async function listen(path: string, talk: (socket: net.Socket) => void): Promise<() => Promise<void>> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return () =>
    new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
}

export const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}\r\n';

/** What a command is answered with: `return`, an error's words, or nothing but a closed connection. */
export type Answer = { readonly return: unknown } | { readonly error: string } | 'hang up' | 'silence';

/** A server that greets, negotiates and answers line by line; every command that came is added to `seen`. */
export function fakeQemu(
  answer: (command: string, args: Record<string, unknown> | undefined) => Answer,
  seen: string[] = [],
): (socket: net.Socket) => void {
  return (socket) => {
    socket.write(GREETING);
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString();
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        const { execute, arguments: args, id } = JSON.parse(line);
        seen.push(execute);
        const given = execute === 'qmp_capabilities' ? { return: {} } : answer(execute, args);
        if (given === 'hang up') socket.destroy();
        else if (given !== 'silence') {
          const body = 'error' in given ? { error: { class: 'GenericError', desc: given.error } } : given;
          socket.write(`${JSON.stringify({ ...body, ...(id === undefined ? {} : { id }) })}\r\n`);
        }
      }
    });
  };
}
