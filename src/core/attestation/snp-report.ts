/** @module The SNP attestation report: what a platform signs about a guest (AMD SEV-SNP firmware ABI 56860, table 23). */
import { bytes, layout, reserved, u8, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

/** The report, field by field; fields that versions use differently are left as bytes. */
export const SnpReport = layout('ATTESTATION_REPORT', {
  version: u32le,
  guestSvn: u32le,
  policy: u64le,
  familyId: bytes(16),
  imageId: bytes(16),
  vmpl: u32le,
  signatureAlgorithm: u32le,
  currentTcb: bytes(8),
  platformInfo: u64le,
  flags: u32le,
  reserved_04c: reserved(4),
  reportData: bytes(64),
  /** The launch digest that the platform finished with. */
  measurement: bytes(48),
  hostData: bytes(32),
  idKeyDigest: bytes(48),
  authorKeyDigest: bytes(48),
  reportId: bytes(32),
  reportIdMa: bytes(32),
  reportedTcb: bytes(8),
  /** Of the host's CPU, since version 3; zero before. */
  cpuidFamily: u8,
  cpuidModel: u8,
  cpuidStepping: u8,
  rest_18b: bytes(21),
  chipId: bytes(64),
  rest_1e0: bytes(192),
  signature: bytes(512),
});

/** A decoded report. */
export type Report = ReturnType<typeof SnpReport.unpack>;

const VERSIONS = [2, 3, 4, 5];

/**
 * Microsoft Azure's container of a report and the runtime's claims; the report follows its header. Behind the report the third word
 * tells its kind (kinvolk/azure-cvm-tooling az-cvm-vtpm/src/hcl/mod.rs: 2 SNP, 4 TDX).
 */
const HCL = { magic: [0x48, 0x43, 0x4c, 0x41], header: 32, tdx: 4 } as const;

/** SNP_GET_REPORT's answer of the Linux driver: status, size, and the report after 32 bytes. */
const RESPONSE_HEADER = 32;

/**
 * Finds and reads a report in `file`: the 1184 bytes alone, in Azure's HCL container, or as the guest driver's answer. Returns
 * undefined when there is none. Throws `format` for a report of a version that is not known. The signature is not checked.
 */
export function findSnpReport(file: Uint8Array): Report | undefined {
  const at = placeOf(file);
  if (at === undefined) return undefined;
  const report = SnpReport.unpack(file, at);
  if (VERSIONS.includes(report.version)) return report;
  throw new BootsealError('format', `attestation report: version ${report.version} is not known`, {
    hint: `known are ${VERSIONS.join(', ')}`,
  });
}

function placeOf(file: Uint8Array): number | undefined {
  if (file.length === SnpReport.size) return 0;
  if (HCL.magic.every((byte, i) => file[i] === byte)) {
    if (file.length >= HCL.header + SnpReport.size) return placeInHcl(file);
    throw new BootsealError('format', `the HCL container has ${file.length} bytes, too few for the report in it`, {
      hint: 'read it again from vTPM index 0x01400001, whole',
    });
  }
  if (file.length < RESPONSE_HEADER + SnpReport.size) return undefined;
  const status = u32le.decode(file, 0, 'status');
  const size = u32le.decode(file, 4, 'size');
  return status === 0 && size === SnpReport.size ? RESPONSE_HEADER : undefined;
}

function placeInHcl(file: Uint8Array): number {
  const kind = HCL.header + SnpReport.size + 8;
  if (file.length < kind + u32le.size || u32le.decode(file, kind, 'HCL kind') !== HCL.tdx) return HCL.header;
  throw new BootsealError('format', 'the HCL container is of a TDX guest: it has a TD report and no SNP report', {
    hint: 'identify looks for launches of SEV, SEV-ES and SNP; for TDX compare the MRTD of its quote with measure tdx',
  });
}
