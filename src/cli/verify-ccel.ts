/** @module `bootseal verify ccel`: is the event log of a TDX guest what its quote says was measured? */
import { Command } from 'commander';
import { type CcelEvent, MAX_CCEL_BYTES, parseCcel } from '../core/attestation/ccel.ts';
import { eventName } from '../core/attestation/event-names.ts';
import { checkCcel } from '../core/attestation/replay-ccel.ts';
import { parseTdxQuote, type TdxQuote } from '../core/attestation/tdx-quote.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { hexOrBase64 } from './hex-or-base64.ts';
import { type Io, readInput, remark } from './io.ts';

interface Options {
  readonly quote: string;
  readonly mrtd?: string;
  readonly events?: boolean;
  readonly json?: boolean;
}

/** Quotes with all their certificates have some thousands; bytes. */
const QUOTE_LIMIT = 1 << 16;

const HELP = `
The quote's signature is not checked: verify it first, with Intel's library or go-tdx-guest.

Exit status: 0 the log gives the RTMRs of the quote, 1 it does not, 3 the input is no log or no quote.

Examples:
  bootseal verify ccel CCEL --quote quote.bin
  bootseal verify ccel CCEL --quote quote.bin --events --mrtd a7a1f751abc4…`;

/** Builds the command. */
export function verifyCcelCommand(io: Io): Command {
  return new Command('ccel')
    .summary("check the event log of a TDX guest against its quote's RTMRs")
    .description(
      'Replay the event log of a TDX guest and compare with its quote: the first RTMR that differs is named.',
    )
    .argument('<log>', '/sys/firmware/acpi/tables/data/CCEL of the guest, or -')
    .requiredOption('--quote <file>', 'TDX quote (version 4 or 5) made in the same boot, or -')
    .option('--mrtd <digest>', 'the MRTD that the quote must have, as measure tdx prints it')
    .option('--events', 'print every event')
    .option('--json', 'print one JSON object')
    .addHelpText('after', HELP)
    .action((log: string, options: Options) => verifyCcel(io, log, options));
}

async function verifyCcel(io: Io, file: string, options: Options): Promise<void> {
  const mrtd = options.mrtd === undefined ? undefined : parseMrtd(options.mrtd);
  const quote = parseTdxQuote(await readInput(io, options.quote, QUOTE_LIMIT));
  const events = parseCcel(await readInput(io, file, MAX_CCEL_BYTES));
  if (mrtd !== undefined) checkMrtd(quote, mrtd);
  checkCcel(events, quote, nodeHashes);
  remark(io, 'note', "the quote's signature was not checked: who did not verify it may have made it up");
  if (quote.debug) remark(io, 'warning', 'the quote is of a guest that its host can debug: it keeps no secrets');
  if (options.json === true) io.stdout.write(`${JSON.stringify(toJson(quote, events), null, 2)}\n`);
  else io.stdout.write(`${toText(quote, events, options.events === true).join('\n')}\n`);
}

function parseMrtd(text: string): string {
  const bytes = hexOrBase64(text, ({ length }) => length === 48);
  if (bytes !== undefined) return bytesToHex(bytes);
  throw new BootsealError('usage', `--mrtd takes 48 bytes as hexadecimal or base64, not ${text.length} characters`, {
    hint: 'give it as measure tdx prints it',
  });
}

function checkMrtd(quote: TdxQuote, expected: string): void {
  const quoted = bytesToHex(quote.mrtd);
  if (quoted === expected) return;
  throw new BootsealError('mismatch', `MRTD: the quote has ${quoted}, expected was ${expected}`, {
    hint: 'another firmware, or a host that adds its pages in another order: see measure tdx --order',
  });
}

const eventsOf = (events: readonly CcelEvent[], rtmr: number) => events.filter((event) => event.rtmr === rtmr).length;

/** Whether the data of an event are what was hashed: others are only what the guest says. */
const isBound = ({ data, digest }: CcelEvent) => bytesToHex(nodeHashes.sha384(data)) === bytesToHex(digest);

function toText(quote: TdxQuote, events: readonly CcelEvent[], all: boolean): readonly string[] {
  const list = events.map((event, i) => {
    const where = event.rtmr === undefined ? '-' : `RTMR${event.rtmr}`;
    const data = `${event.data.length} bytes${isBound(event) ? ', hashed' : ''}`;
    return `${`${i + 1}`.padEnd(5)} ${where.padEnd(5)} ${eventName(event.type).padEnd(34)} ${bytesToHex(event.digest)} ${data}`;
  });
  return [
    ...(all ? list : []),
    `MRTD  ${bytesToHex(quote.mrtd)}`,
    ...quote.rtmrs.map((value, i) => `RTMR${i} ${bytesToHex(value)} events=${eventsOf(events, i)}`),
  ];
}

function toJson(quote: TdxQuote, events: readonly CcelEvent[]): object {
  return {
    matches: true,
    mrtd: bytesToHex(quote.mrtd),
    rtmrs: quote.rtmrs.map((value, i) => ({ value: bytesToHex(value), count: eventsOf(events, i) })),
    reportData: bytesToHex(quote.reportData),
    debug: quote.debug,
    events: events.map((event) => ({
      rtmr: event.rtmr ?? null,
      type: eventName(event.type),
      digest: bytesToHex(event.digest),
      hashed: isBound(event),
      data: bytesToHex(event.data),
    })),
  };
}
