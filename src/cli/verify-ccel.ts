/** @module `bootseal verify ccel`: is the event log of a TDX guest what its quote says was measured? */
import { Command } from 'commander';
import { type CcelEvent, MAX_CCEL_BYTES, parseCcel } from '../core/attestation/ccel.ts';
import { eventName } from '../core/attestation/event-names.ts';
import { checkCcel } from '../core/attestation/replay-ccel.ts';
import { parseTdxQuote, type TdxQuote } from '../core/attestation/tdx-quote.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import type { MrtdOrder } from '../core/measurement/mrtd.ts';
import { agreesWithPrediction } from '../core/rtmr/compare-log.ts';
import { PREDICTED_RTMRS } from '../core/rtmr/events.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import {
  absentLines,
  checkComparison,
  compareWithPrediction,
  comparisonJson,
  countText,
  isRemarkable,
  type PredictedLog,
  remarkOnComparison,
  verdictJson,
  verdictText,
} from './ccel-prediction.ts';
import { type FoundRtmr3, findRtmr3, remarkOnRtmr3, rtmr3Text } from './ccel-rtmr3.ts';
import { hexOrBase64 } from './hex-or-base64.ts';
import { type Io, readInput, remark } from './io.ts';
import { addTdxBootOptions, checkIdle, type PredictedBoot, predictBoot, type TdxBootOptions } from './tdx-boot.ts';
import { addOrderOption, measureFirmware } from './tdx-firmware.ts';

interface Options extends TdxBootOptions {
  readonly quote: string;
  readonly firmware?: string;
  readonly order: MrtdOrder;
  readonly mrtd?: string;
  readonly rtmr3?: string;
  readonly events?: boolean;
  readonly json?: boolean;
}

/** Quotes with all their certificates have some thousands; bytes. */
const QUOTE_LIMIT = 1 << 16;

const HELP = `
The quote's signature is not checked: verify it first, with Intel's library or go-tdx-guest.

With --firmware the quote's MRTD is compared with that of measure tdx, and with --kernel each event with the boot that the options describe.

RTMR3 belongs to the software in the guest. If it holds what the log does not tell of, there is a warning; --rtmr3 demands a value.

Exit status: 0 the log gives the RTMRs of the quote (RTMR3 see above), and nothing differs from what is predicted; 1 something does not agree,
2 no guest is booted so, 3 an input is no log, quote, firmware or kernel, 5 a file cannot be read.

Examples:
  bootseal verify ccel CCEL --quote quote.bin
  bootseal verify ccel CCEL --quote quote.bin --events --mrtd a7a1f751abc4…
  bootseal verify ccel CCEL --quote quote.bin --firmware OVMF.fd --kernel vmlinuz --initrd initrd.img --cmdline "console=hvc0" --memory 2G`;

/** Builds the command. */
export function verifyCcelCommand(io: Io): Command {
  const command = new Command('ccel')
    .summary("check the event log of a TDX guest against its quote's RTMRs")
    .description(
      'Replay the event log of a TDX guest and compare with its quote: the first RTMR that differs is named.',
    )
    .argument('<log>', '/sys/firmware/acpi/tables/data/CCEL of the guest, or -')
    .requiredOption('--quote <file>', 'TDX quote (version 4 or 5) made in the same boot, or -')
    .option('--mrtd <digest>', 'the MRTD that the quote must have, as measure tdx prints it')
    .option('--rtmr3 <digest>', 'the RTMR3 that the quote must have (96 zeros: nothing has extended it)')
    .option('--events', 'print every event')
    .option('--firmware <file>', 'the full OVMF image that the guest must have started with')
    .option('--json', 'print one JSON object');
  return addTdxBootOptions(addOrderOption(command))
    .addHelpText('after', HELP)
    .action((log: string, options: Options) => {
      if (options.firmware === undefined && command.getOptionValueSource('order') === 'cli') throw idleOrder();
      return verifyCcel(io, log, options);
    });
}

const idleOrder = () =>
  new BootsealError('usage', '--order goes with --firmware, whose pages are added in it', {
    hint: 'add the firmware image, or leave --order out',
  });

async function verifyCcel(io: Io, file: string, options: Options): Promise<void> {
  const mrtd = options.mrtd === undefined ? undefined : parseRegister(options.mrtd, '--mrtd');
  const expectedRtmr3 = options.rtmr3 === undefined ? undefined : parseRegister(options.rtmr3, '--rtmr3');
  const quote = parseTdxQuote(await readInput(io, options.quote, QUOTE_LIMIT));
  const events = parseCcel(await readInput(io, file, MAX_CCEL_BYTES));
  if (mrtd !== undefined) checkMrtd(quote, mrtd);
  checkCcel(events, quote, nodeHashes, PREDICTED_RTMRS);
  const expected = await predict(io, options);
  if (expected !== undefined) checkMrtd(quote, bytesToHex(expected.mrtd));
  const compared = expected?.boot === undefined ? undefined : compareWithPrediction(events, expected.boot);
  const rtmr3 = findRtmr3(events, quote, expectedRtmr3);
  // The boot is held against its prediction whatever software has made of RTMR3 since.
  if (compared === undefined && rtmr3.failure !== undefined) throw rtmr3.failure;
  remark(io, 'note', "the quote's signature was not checked: who did not verify it may have made it up");
  if (quote.debug) remark(io, 'warning', 'the quote is of a guest that its host can debug: it keeps no secrets');
  if (compared !== undefined) remarkOnComparison(io, compared);
  remarkOnRtmr3(io, quote, rtmr3);
  const checked = { quote, events, compared, rtmr3 };
  if (options.json === true) io.stdout.write(`${JSON.stringify(toJson(checked), null, 2)}\n`);
  else io.stdout.write(`${toText(checked, options.events === true).join('\n')}\n`);
  if (compared !== undefined) checkComparison(compared);
  if (rtmr3.failure !== undefined) throw rtmr3.failure;
}

interface Expected {
  readonly mrtd: Uint8Array;
  readonly boot: PredictedBoot | undefined;
}

async function predict(io: Io, options: Options): Promise<Expected | undefined> {
  if (options.firmware === undefined) {
    if (options.kernel !== undefined) {
      throw new BootsealError('usage', '--kernel goes with --firmware, which measures it', {
        hint: 'add the firmware image, or leave the kernel out',
      });
    }
    checkIdle(options);
    return undefined;
  }
  const { mrtd, ...firmware } = await measureFirmware(io, options.firmware, options.order);
  return { mrtd, boot: await predictBoot(io, firmware, options) };
}

function parseRegister(text: string, option: string): string {
  const bytes = hexOrBase64(text, ({ length }) => length === 48);
  if (bytes !== undefined) return bytesToHex(bytes);
  throw new BootsealError('usage', `${option} takes 48 bytes as hexadecimal or base64, not ${text.length} characters`, {
    hint: option === '--mrtd' ? 'give it as measure tdx prints it' : 'give 96 digits, all of them zeros for nothing',
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

/** A log and its quote, of which RTMR0 to RTMR2 agree, and what else was found. */
interface Checked {
  readonly quote: TdxQuote;
  readonly events: readonly CcelEvent[];
  readonly compared: PredictedLog | undefined;
  readonly rtmr3: FoundRtmr3;
}

function toText({ quote, events, compared, rtmr3 }: Checked, all: boolean): readonly string[] {
  const list = events.map((event, i) => {
    const where = event.rtmr === undefined ? '-' : `RTMR${event.rtmr}`;
    const data = `${event.data.length} bytes${isBound(event) ? ', hashed' : ''}`;
    const verdict = compared === undefined ? '' : verdictText(compared, i);
    return `${`${i + 1}`.padEnd(5)} ${where.padEnd(5)} ${eventName(event.type).padEnd(34)} ${bytesToHex(event.digest)} ${data}${verdict}`;
  });
  const counts = quote.rtmrs.map(
    (_, i) => `events=${eventsOf(events, i)}${compared === undefined ? '' : countText(compared, i)}`,
  );
  return [
    ...list.filter((_, i) => all || (compared !== undefined && isRemarkable(compared, i))),
    ...(compared === undefined ? [] : absentLines(compared)),
    `MRTD  ${bytesToHex(quote.mrtd)}`,
    ...quote.rtmrs.map((value, i) => `RTMR${i} ${bytesToHex(value)} ${counts[i]}${i === 3 ? rtmr3Text(rtmr3) : ''}`),
  ];
}

function toJson({ quote, events, compared, rtmr3 }: Checked): object {
  return {
    matches: rtmr3.failure === undefined && (compared === undefined || agreesWithPrediction(compared.comparison)),
    mrtd: bytesToHex(quote.mrtd),
    rtmrs: quote.rtmrs.map((value, i) => ({
      value: bytesToHex(value),
      count: eventsOf(events, i),
      replayed: i !== 3 || rtmr3.replayed,
    })),
    reportData: bytesToHex(quote.reportData),
    debug: quote.debug,
    ...(compared === undefined ? {} : comparisonJson(compared)),
    events: events.map((event, i) => ({
      rtmr: event.rtmr ?? null,
      type: eventName(event.type),
      digest: bytesToHex(event.digest),
      hashed: isBound(event),
      data: bytesToHex(event.data),
      ...(compared === undefined ? {} : verdictJson(compared, i)),
    })),
  };
}
