/**
 * @module The root under dm-verity that Kata Containers makes of the kernel_verity_params of its configuration, since version 3.27
 * (kata-containers/kata-containers src/runtime/virtcontainers/hypervisor.go, ParseKernelVerityParams and GetKernelRootParams;
 * src/runtime-rs/crates/hypervisor/src/kernel_param.rs).
 */
import { BootsealError } from '../errors.ts';

const SECTOR = 512n;
const MAX_UINT64 = 0xffff_ffff_ffff_ffffn;

/**
 * Returns the word that has Linux set up the hash tree of an image on a virtio disk, with quotation marks as they are measured; `text` is
 * as in the configuration: root_hash=…,salt=…,data_blocks=…,data_block_size=…,hash_block_size=… (bytes, decimal). Throws `usage`.
 */
export function kataVerityWord(text: string): string {
  const values = new Map(text.split(',').flatMap(entry));
  const rootHash = hexadecimal(values, 'root_hash');
  const salt = values.get('salt') === '-' ? '-' : hexadecimal(values, 'salt');
  const dataBlocks = count(values, 'data_blocks');
  const dataBlockSize = blockSize(values, 'data_block_size');
  const hashBlockSize = blockSize(values, 'hash_block_size');
  const sectors = (dataBlockSize / SECTOR) * dataBlocks;
  if (sectors > MAX_UINT64) throw refused('data_blocks', 'is more than any disk has');
  const table = `verity 1 /dev/vda1 /dev/vda2 ${dataBlockSize} ${hashBlockSize} ${dataBlocks} 0 sha256 ${rootHash} ${salt}`;
  return `dm-mod.create="dm-verity,,,ro,0 ${sectors} ${table}"`;
}

/** The last one counts where a name is there twice, and other names count for nothing, as in Kata. */
function entry(field: string): readonly (readonly [string, string])[] {
  const one = field.trim();
  if (one === '') return [];
  const end = one.indexOf('=');
  if (end < 0) throw refused(one, 'is no name=value');
  return [[one.slice(0, end), one.slice(end + 1)]];
}

type Values = ReadonlyMap<string, string>;

function hexadecimal(values: Values, name: string): string {
  const value = values.get(name) ?? '';
  if (!/^[0-9a-f]+$/i.test(value)) throw refused(name, value === '' ? 'is missing' : 'is not hexadecimal');
  return value;
}

function count(values: Values, name: string): bigint {
  const value = values.get(name) ?? '';
  if (value === '') throw refused(name, 'is missing');
  const number = /^[0-9]{1,20}$/.test(value) ? BigInt(value) : 0n;
  if (number > 0n && number <= MAX_UINT64) return number;
  throw refused(name, 'is no positive number of 64 bits');
}

function blockSize(values: Values, name: string): bigint {
  const size = count(values, name);
  if (size % SECTOR === 0n) return size;
  throw refused(name, `is no multiple of ${SECTOR} bytes`);
}

function refused(name: string, why: string): BootsealError {
  return new BootsealError('usage', `--kata-verity: ${name} ${why}`, {
    hint: 'give the kernel_verity_params of the configuration: root_hash=…,salt=…,data_blocks=…,data_block_size=…,hash_block_size=…',
  });
}
