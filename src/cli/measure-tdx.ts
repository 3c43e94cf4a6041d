/** @module `bootseal measure tdx`: MRTD, the launch measurement of a TDX guest, and the RTMRs of a direct boot. */
import { Command, Option } from 'commander';
import type { MrtdOrder, MrtdStep } from '../core/measurement/mrtd.ts';
import { rvpsTdxMessage } from '../core/reference/rvps.ts';
import { type Io, remark } from './io.ts';
import { addPrintOptions, digestText, type PrintOptions, stepJson, stepLine } from './plan-text.ts';
import { eventLine, remarkOnRtmrs, rtmrJson, rtmrLines } from './rtmr-text.ts';
import { addTdxBootOptions, predictBoot, TDX_BOOT_HELP, type TdxBootOptions } from './tdx-boot.ts';
import { addOrderOption, measureFirmware } from './tdx-firmware.ts';

interface Options extends PrintOptions, TdxBootOptions {
  readonly reference?: 'rvps';
  readonly firmware: string;
  readonly order: MrtdOrder;
}

/** Builds the command, with `examples` at the end of its help. */
export function measureTdxCommand(io: Io, examples: string): Command {
  const command = new Command('tdx')
    .description('MRTD of a TDX guest (SHA-384), and RTMR0 to RTMR2 of a direct boot')
    .requiredOption('--firmware <file>', 'the full OVMF image as the host loads it');
  return addPrintOptions(addTdxBootOptions(addOrderOption(command)))
    .addOption(
      new Option('--reference <form>', "reference values instead: Trustee's message with mr_td, rtmr_1 and rtmr_2")
        .choices(['rvps'])
        .conflicts(['plan', 'json', 'format']),
    )
    .addHelpText('after', TDX_BOOT_HELP)
    .addHelpText('after', examples)
    .action((options: Options) => measureTdx(io, options));
}

async function measureTdx(io: Io, options: Options): Promise<void> {
  const { format, order } = options;
  const steps: MrtdStep[] = [];
  const trace = options.plan ? (step: MrtdStep) => void steps.push(step) : undefined;
  const { hashed, mrtd: digest, ...firmware } = await measureFirmware(io, options.firmware, order, trace);
  const boot = await predictBoot(io, firmware, options);
  if (boot === undefined) remark(io, 'note', FIRMWARE_ONLY);
  else remarkOnRtmrs(io, boot);
  if (options.reference !== undefined) {
    const [rtmr_1, rtmr_2] = [1, 2].map((rtmr) => boot?.rtmrs.find((one) => one.rtmr === rtmr)?.value);
    io.stdout.write(rvpsTdxMessage({ mr_td: digest, rtmr_1, rtmr_2 }));
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

const FIRMWARE_ONLY =
  'MRTD covers the firmware only: kernel, initrd, command line and boot variables are in the RTMRs, which --kernel predicts';
