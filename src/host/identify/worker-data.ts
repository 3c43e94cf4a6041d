/** @module A search as plain data, which threads can be given. */
import type { Question } from '../../core/identify/identify.ts';
import type { VcpuScope } from '../../core/identify/vcpu-candidates.ts';
import { effortOf, matcher, type Wanted } from '../../core/identify/wanted.ts';
import { findProfile } from '../../core/measurement/profiles.ts';

/** What is looked for, and where. */
export interface PlainQuestion extends Omit<Question, 'matches' | 'effort'> {
  readonly wanted: Wanted;
}

/** What a thread is started with. Profiles are functions in part, so it gets their names. */
export interface WorkerData {
  readonly question: Omit<PlainQuestion, 'vcpus'>;
  readonly vcpus: Omit<VcpuScope, 'profiles'> & { readonly profiles: readonly string[] };
  /** The numbers of shared-search.ts. */
  readonly shared: Int32Array;
}

/** Returns the question with its test. */
export function questionOf(question: PlainQuestion): Question {
  return { ...question, matches: matcher(question.wanted), effort: effortOf(question.wanted) };
}

/** Returns what a thread is started with. */
export function workerData({ vcpus, ...question }: PlainQuestion, shared: Int32Array): WorkerData {
  return { question, vcpus: { ...vcpus, profiles: vcpus.profiles.map(({ name }) => name) }, shared };
}

/** Returns the question that a thread was started with. */
export function questionFrom({ question, vcpus }: WorkerData): Question {
  return questionOf({ ...question, vcpus: { ...vcpus, profiles: vcpus.profiles.map(findProfile) } });
}
