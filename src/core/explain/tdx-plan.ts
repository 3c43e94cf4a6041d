/** @module What `bootseal measure tdx --plan --json` prints, read back. */
import { bytesToHex } from '../hex.ts';
import { MOST_PLAN_STEPS } from '../measurement/measure.ts';
import { MRTD_ORDERS, type MrtdStep } from '../measurement/mrtd.ts';
import { PREDICTED_RTMRS } from '../rtmr/events.ts';
import { KERNEL_HEADERS } from '../rtmr/profiles.ts';
import { type LaunchAccount, NO_ACCOUNT } from './account.ts';
import {
  digest,
  list,
  object,
  oneOf,
  optional,
  readBytes,
  readSha256,
  readStep,
  shortText,
  wrong,
} from './plan-fields.ts';
import type { TdxBoot, TdxEvent } from './tdx-account.ts';

type Fields = Readonly<Record<string, unknown>>;

const TYPES: readonly MrtdStep['type'][] = ['add', 'extend', 'add+extend'];
const SIZE = 48;

/** Direct boots have some 20 events, and one more for each boot option. */
const MOST_EVENTS = 1024;

/** Reads the one result of a plan with the plan's inputs; throws `format` naming the place. */
export function readTdxPlan(result: Fields, where: string, inputs: unknown): LaunchAccount {
  const files = readInputs(inputs);
  const boot = optional(result['events'], (events) =>
    readBoot(result, events, where, { files, initrdBytes: initrdBytes(inputs) }),
  );
  return {
    ...NO_ACCOUNT,
    platform: 'tdx',
    profile: boot?.profile,
    steps: list(result['plan'], `${where}.plan`, MOST_PLAN_STEPS).map((step, i) =>
      readStep(step, `${where}.plan[${i}]`, TYPES, SIZE),
    ),
    tdx: { order: oneOf(MRTD_ORDERS, result['order'], `${where}.order`), inputs: files, boot },
    digest: digest(result['digest'], `${where}.digest`, SIZE),
  };
}

function readInputs(value: unknown): ReadonlyMap<string, string> {
  const entries = Object.entries(object(value, 'plan.inputs'));
  list(entries, 'plan.inputs', MOST_EVENTS);
  const files = new Map(
    entries.map(([key, file]) => {
      const role = shortText(key, 'plan.inputs');
      return [role, readSha256(file, `plan.inputs.${role}`)];
    }),
  );
  require(files, 'firmware');
  return files;
}

function require(files: ReadonlyMap<string, string>, role: string): void {
  if (!files.has(role)) throw wrong(`plan.inputs.${role}`);
}

function initrdBytes(inputs: unknown): number | undefined {
  return optional(object(inputs, 'plan.inputs')['initrd'], (file) =>
    optional(object(file, 'plan.inputs.initrd')['bytes'], (bytes) => readBytes(bytes, 'plan.inputs.initrd.bytes')),
  );
}

interface BootInputs extends Pick<TdxBoot, 'initrdBytes'> {
  readonly files: ReadonlyMap<string, string>;
}

function readBoot(result: Fields, events: unknown, where: string, { files, initrdBytes: size }: BootInputs): TdxBoot {
  require(files, 'kernel');
  require(files, 'cmdline');
  const rtmrs = list(result['rtmrs'], `${where}.rtmrs`, PREDICTED_RTMRS.length);
  if (rtmrs.length !== PREDICTED_RTMRS.length) throw wrong(`${where}.rtmrs`);
  return {
    profile: shortText(result['profile'], `${where}.profile`),
    kernelHeader: oneOf(KERNEL_HEADERS, result['kernelHeader'], `${where}.kernelHeader`),
    initrdBytes: size,
    events: list(events, `${where}.events`, MOST_EVENTS).map((event, i) => readEvent(event, `${where}.events[${i}]`)),
    rtmrs: rtmrs.map((register, i) => {
      const place = `${where}.rtmrs[${i}]`;
      return optionalDigest(object(register, place)['value'], `${place}.value`);
    }),
  };
}

function readEvent(value: unknown, where: string): TdxEvent {
  const event = object(value, where);
  return {
    rtmr: oneOf(PREDICTED_RTMRS, event['rtmr'], `${where}.rtmr`),
    type: shortText(event['type'], `${where}.type`),
    name: shortText(event['name'], `${where}.name`),
    digest: optionalDigest(event['digest'], `${where}.digest`),
  };
}

const optionalDigest = (value: unknown, where: string) =>
  optional(value, (text) => bytesToHex(digest(text, where, SIZE)));
