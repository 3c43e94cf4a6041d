/**
 * @module What Kata Containers' runtime in Rust makes of kernel_params (kata-containers/kata-containers
 * src/runtime-rs/crates/hypervisor/src/kernel_param.rs, src/qemu/cmdline_generator.rs, Kernel::new and add_console;
 * src/libs/kata-types/src/config/mod.rs, get_agent_kernel_params, which sorts them).
 */
import { AGENT_CHOICES } from './kata-agent-words.ts';
import { endsLine, joinFields, type KataFields, type KataLine } from './kata-fields.ts';

const START = 'reboot=k panic=1 systemd.unit=kata-containers.target systemd.mask=systemd-networkd.service';

/** The socket of systemd-networkd is masked, and the agent told of cdh_api_timeout_ms (here in seconds), since version 3.31. */
const AGES = [
  { start: START, cdh: '' },
  { start: `${START} systemd.mask=systemd-networkd.socket`, cdh: 'agent.cdh_api_timeout=50' },
];

/** With `enable_debug` of the hypervisor. */
const LOG_PORTS = ['', 'agent.log_vport=1025'];

/** Returns the lines for these words and this root (undefined with an initrd), which do not depend on the number of vCPUs. */
export function rustLines(fields: KataFields, root = ''): readonly KataLine[] {
  // Words of the runtime stand behind the owner's.
  if (endsLine(fields)) return [];
  const { params, extensions } = fields;
  return AGES.flatMap(({ start, cdh }) =>
    LOG_PORTS.flatMap((logPort) =>
      AGENT_CHOICES.map(({ log, console, timeout }) => {
        const agent = [cdh, console, timeout, log];
        const words = [start, logPort, root, ...agent, ...params, 'selinux=0', ...extensions, 'console=hvc0'];
        return { bytes: joinFields(words), vcpus: undefined, debugConsole: console !== '' };
      }),
    ),
  );
}
