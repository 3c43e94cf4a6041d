/** @module `bootseal measure tdx`: MRTD, the launch measurement of a TDX guest, and the RTMRs of a direct boot. */
import { Command, Option } from 'commander';
import type { MrtdOrder, MrtdStep } from '../core/measurement/mrtd.ts';
import { rvpsTdxMessage, type TdxReference } from '../core/reference/rvps.ts';
import type { Rtmr } from '../core/rtmr/events.ts';
import { type Io, remark } from './io.ts';
import { addPlaceOptions, checkPlace, checkPlaceOptions, type PlaceOptions, writePlaced } from './measure-reference.ts';
import { addPrintOptions, digestText, type PrintOptions, stepJson, stepLine } from './plan-text.ts';
import { eventLine, remarkOnRtmrs, rtmrJson, rtmrLines } from './rtmr-text.ts';
import {
  addTdxBootOptions,
  bootFiles,
  type PredictedBoot,
  predictBoot,
  TDX_BOOT_HELP,
  type TdxBootOptions,
} from './tdx-boot.ts';
import { addOrderOption, measureFirmware } from './tdx-firmware.ts';

interface Options extends PrintOptions, TdxBootOptions, PlaceOptions {
  readonly reference?: 'rvps';
  readonly firmware: string;
  readonly order: MrtdOrder;
}

/** Builds the command, with `examples` at the end of its help. */
export function measureTdxCommand(io: Io, examples: string): Command {
  const command = new Command('tdx')
    .description('MRTD of a TDX guest (SHA-384), and RTMR0 to RTMR2 of a direct boot')
    .requiredOption('--firmware <file>', 'the full OVMF image as the host loads it');
  addPrintOptions(addTdxBootOptions(addOrderOption(command))).addOption(
    new Option(
      '--reference <form>',
      "reference values instead: Trustee's message with mr_td, and of a direct boot rtmr_1, rtmr_2, tdvfkernel and tdvfkernelparams",
    )
      .choices(['rvps'])
      .conflicts(['plan', 'json', 'format']),
  );
  return addPlaceOptions(command)
    .addHelpText('after', TDX_BOOT_HELP)
    .addHelpText('after', examples)
    .action((options: Options) => measureTdx(io, options));
}

async function measureTdx(io: Io, options: Options): Promise<void> {
  const { format, order } = options;
  checkPlaceOptions(options);
  await checkPlace(io, options, [options.firmware, ...bootFiles(options)]);
  const steps: MrtdStep[] = [];
  const trace = options.plan ? (step: MrtdStep) => void steps.push(step) : undefined;
  const { hashed, mrtd: digest, ...firmware } = await measureFirmware(io, options.firmware, order, trace);
  const boot = await predictBoot(io, firmware, options);
  if (boot === undefined) remark(io, 'note', FIRMWARE_ONLY);
  else remarkOnRtmrs(io, boot);
  if (options.reference !== undefined) {
    remark(io, 'note', XFAM);
    if (boot?.silentRelease !== undefined) remark(io, 'note', SILENT);
    await writePlaced(io, rvpsTdxMessage({ mr_td: digest, ...bootReference(boot) }), options);
    return;
  }
  if (options.json === true) {
    const plan = options.plan ? { plan: steps.map((step) => stepJson(step, format)) } : {};
    const rtmrs = boot === undefined ? {} : rtmrJson(boot, format);
    const result = { platform: 'tdx', order, digest: digestText(digest, format), ...plan, ...rtmrs };
    io.stdout.write(
      `${JSON.stringify({ results: [result], inputs: { firmware: hashed, ...boot?.inputs } }, null, 2)}\n`,
    );
    return;
  }
  const what = `platform=tdx order=${order}`;
  if (options.plan) io.stdout.write(`# ${what}\n`);
  for (const step of steps) io.stdout.write(`${stepLine(step, format)}\n`);
  if (boot !== undefined && options.plan) {
    for (const event of boot.events) io.stdout.write(`${eventLine(event, format)}\n`);
  }
  remark(io, 'note', what);
  const mrtdText = digestText(digest, format);
  if (boot === undefined) io.stdout.write(`${mrtdText}\n`);
  else io.stdout.write(`${[`MRTD  ${mrtdText}`, ...rtmrLines(boot, format)].join('\n')}\n`);
}

function bootReference(boot: PredictedBoot | undefined): Omit<TdxReference, 'mr_td'> {
  const register = (rtmr: Rtmr) => boot?.rtmrs.find((one) => one.rtmr === rtmr)?.value;
  const event = (rtmr: Rtmr, name: string) =>
    boot?.events.find((one) => one.rtmr === rtmr && one.name === name)?.digest;
  return {
    rtmr_1: register(1),
    // Zeros would accept any command line and initrd with this kernel.
    rtmr_2: boot?.silentRelease === undefined ? register(2) : undefined,
    tdvfkernel: event(1, 'kernel'),
    tdvfkernelparams: event(2, 'load options'),
  };
}

const XFAM =
  "Trustee's default policy also asks for xfam, the CPU features that the host gives the guest: take it from the quote of a guest that you trust";

const SILENT =
  'rtmr_2 and tdvfkernelparams are left out: zeros are true of every command line and initrd, which a reference value would accept';

const FIRMWARE_ONLY =
  'MRTD covers the firmware only: kernel, initrd, command line and boot variables are in the RTMRs, which --kernel predicts';
