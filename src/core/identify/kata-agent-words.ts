/** @module What Kata Containers tells its agent in the command line, by the configuration that it comes with (kata-containers/kata-containers src/runtime/virtcontainers/kata_agent.go). */

/** Each a word or two, or empty; runtimes differ in their order. */
export interface AgentWords {
  readonly log: string;
  /** A shell in the guest, for whoever has its vsock. */
  readonly console: string;
  /** Since version 3.29; seconds. */
  readonly timeout: string;
}

/** Nothing is configured. */
export const NO_AGENT_WORDS: AgentWords = { log: '', console: '', timeout: '' };

const TIMEOUTS = ['', 'agent.launch_process_timeout=6'];
const LOGS = ['', 'agent.log=debug'];
const DEBUG_CONSOLES = ['', 'agent.debug_console agent.debug_console_vport=1026'];

/** With and without each. */
export const AGENT_CHOICES: readonly AgentWords[] = DEBUG_CONSOLES.flatMap((console) =>
  LOGS.flatMap((log) => TIMEOUTS.map((timeout) => ({ log, console, timeout }))),
);
