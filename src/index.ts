/**
 * @module bootseal as a library: what the command does, as functions of bytes. Nothing here reads a clock, a file or randomness
 * by itself; `nodeHashes` and `nodePublicKey` lend node:crypto to the functions that ask for it.
 */
export { type CcelEvent, MAX_CCEL_BYTES, parseCcel } from './core/attestation/ccel.ts';
export {
  createIdAuth,
  type EcdsaSigner,
  ID_AUTH_SIZE,
  type IdChecks,
  type IdOwners,
  verifyIdBlock,
} from './core/attestation/id-auth.ts';
export { encodeIdBlock, ID_BLOCK_SIZE, type IdBlockFields, parseIdBlock } from './core/attestation/id-block.ts';
export { checkCcel, replayCcel } from './core/attestation/replay-ccel.ts';
export {
  describeSnpPolicy,
  parseSnpPolicy,
  SNP_POLICY_FLAGS,
  snpPolicyProblem,
  snpPolicyRisks,
} from './core/attestation/snp-policy.ts';
export { findSnpReport, type Report, SnpReport } from './core/attestation/snp-report.ts';
export { parseTdxQuote, type TdxQuote } from './core/attestation/tdx-quote.ts';
export { BootsealError, type ErrorDetails, type ErrorKind } from './core/errors.ts';
export { accountOf, type LaunchAccount } from './core/explain/account.ts';
export { CAUSES, type Cause, type CauseName } from './core/explain/cause.ts';
export type { Difference, DifferenceKind } from './core/explain/difference.ts';
export { type Explanation, explainLaunch } from './core/explain/explain.ts';
export { joinLogs } from './core/explain/join-logs.ts';
export { parsePlanDocument } from './core/explain/plan-document.ts';
export { parseTraceLog, type TraceLog } from './core/explain/trace-log.ts';
export { parseVmsaDump, type VmsaDump } from './core/explain/vmsa-dump.ts';
export {
  describeFirmware,
  type FirmwareDescriptor,
  parseDescriptor,
  printDescriptor,
} from './core/firmware/descriptor.ts';
export {
  type Area,
  type Firmware,
  type FooterEntry,
  parseFirmware,
  type SevSection,
  type TdxSection,
} from './core/firmware/firmware.ts';
export { CONTENTS, type Inspection, inspectFirmware } from './core/firmware/inspect.ts';
export { type Finding, type FirmwareClass, type FirmwareLint, lintFirmware } from './core/firmware/lint.ts';
export { FEATURES, servesPlatform, type Verdicts } from './core/firmware/serves.ts';
export type { Answer, Verdict } from './core/firmware/starts.ts';
export { secretAreaOf } from './core/guest/command-line.ts';
export { type GuestTable, type PlacedEntry, type Refusal, readGuestTable } from './core/guest/table.ts';
export type { Hashes, RunningHash } from './core/hash.ts';
export {
  type Belief,
  type BelievedFile,
  type BelievedKernel,
  type Boot,
  type BootSlip,
  type ChangedKernel,
  possibleBoots,
} from './core/identify/boots.ts';
export {
  type BelievedFirmware,
  type BelievedSvsm,
  type FirmwareCandidate,
  type FirmwareSlip,
  firmwareCandidates,
  firmwareSlips,
  type SvsmCandidate,
} from './core/identify/firmware-candidates.ts';
export { type FoundLaunch, identify, type Question, type SearchOutcome } from './core/identify/identify.ts';
export { kataVerityWord } from './core/identify/kata-verity.ts';
export { type HeaderChange, headerChanges } from './core/identify/kernel-header.ts';
export type { BootKind, RuledOut } from './core/identify/ruled-out.ts';
export type { Reordering, SectionOrder } from './core/identify/section-order.ts';
export type { VcpuCandidate, VcpuScope } from './core/identify/vcpu-candidates.ts';
export type { IdBlockDirective, InsertDirective, PageDirective, VcpuDirective } from './core/igvm/directives.ts';
export { type IgvmFile, type IgvmPlatform, parseIgvm } from './core/igvm/file.ts';
export type { ApiVersion } from './core/measurement/api-version.ts';
export {
  type CpuIdentity,
  cpuModel,
  cpuModelNames,
  cpuSignature,
  knownSignatures,
} from './core/measurement/cpu-models.ts';
export { defaultFeatures } from './core/measurement/features.ts';
export { type KernelHashes, kernelHashTable } from './core/measurement/hash-table.ts';
export { type IgvmMeasured, type IgvmRequest, measureIgvm, type OtherLoader } from './core/measurement/igvm.ts';
export type { FpuReset } from './core/measurement/igvm-fpu.ts';
export type { IgvmLoader, IgvmPlatformName } from './core/measurement/igvm-loaders.ts';
export { type LaunchContents, launchContents } from './core/measurement/launch-contents.ts';
export {
  computeLaunchMeasurement,
  type LaunchMeasurement,
  parseLaunchMeasurement,
  parseLaunchMeasurementText,
} from './core/measurement/launch-measurement.ts';
export {
  type Cpu,
  firmwareOf,
  type Measured,
  type MeasuredFirmware,
  type MeasureRequest,
  measure,
  type Platform,
} from './core/measurement/measure.ts';
export { MRTD_ORDERS, type MrtdOrder, type MrtdStep, mrtd } from './core/measurement/mrtd.ts';
export type { Step, StepType } from './core/measurement/plan.ts';
export { findProfile, PROFILES, type Profile } from './core/measurement/profiles.ts';
export { snpFirmwareDigest } from './core/measurement/snp.ts';
export { type UsableTdxSection, usableTdxSections } from './core/measurement/tdx-sections.ts';
export {
  type ExpectedLaunch,
  type VerifiedLaunch,
  verifyAgainstRecord,
  verifyLaunchMeasurement,
} from './core/measurement/verify-launch.ts';
export { nobleHashes } from './core/noble-hashes.ts';
export { corimOf } from './core/reference/corim.ts';
export { goSevGuestPolicy } from './core/reference/go-sev-guest.ts';
export { rvpsCorimMessage, rvpsMessage, rvpsTdxMessage, type TdxReference } from './core/reference/rvps.ts';
export type { BootVariables } from './core/rtmr/boot-variables.ts';
export {
  agreesWithPrediction,
  type ComparedEvent,
  compareLog,
  type EventVerdict,
  type LogComparison,
} from './core/rtmr/compare-log.ts';
export { type AcpiFiles, type DirectBoot, directBootEvents } from './core/rtmr/direct-boot.ts';
export { silentRelease } from './core/rtmr/efi-stub.ts';
export { extendAll, type PredictedEvent, type PredictedRtmr, type Rtmr } from './core/rtmr/events.ts';
export { type FirmwareBuild, readBuild } from './core/rtmr/firmware-build.ts';
export { BOOT_PROFILES, type BootProfile, findBootProfile, type KernelHeader } from './core/rtmr/profiles.ts';
export { secretRoom } from './core/secret/limits.ts';
export { SECRET_NAMES, secretGuid, secretName } from './core/secret/names.ts';
export { type Sealing, sealPacket } from './core/secret/packet.ts';
export { openPacket, type Packet } from './core/secret/packet-cipher.ts';
export {
  type InjectSecretCommand,
  injectSecretCommand,
  type PacketTexts,
  packetTexts,
} from './core/secret/packet-forms.ts';
export {
  buildSecretTable,
  type OwnerSecret,
  parseSecretTable,
  type SecretTable,
  secretWarnings,
  type TableEntry,
} from './core/secret/table.ts';
export { amdAuthorities } from './core/session/amd-certificates.ts';
export type { RootName } from './core/session/amd-roots.ts';
export {
  type AmdAuthorities,
  checkRoot,
  type PlatformCertificates,
  type PlatformKey,
  trustUnverified,
  verifyChain,
} from './core/session/chain.ts';
export { createRecord, expectedDigest, type RecordInputs } from './core/session/create-record.ts';
export { chooseMinimumApi } from './core/session/minimum-api.ts';
export {
  type CertificateFile,
  completeChain,
  type FoundCertificates,
  readCertificates,
} from './core/session/platform-certificates.ts';
export { describePolicy, parsePolicy, policyRisks } from './core/session/policy.ts';
export type { Curve, EcPublicKey, PublicKeyOperations } from './core/session/public-key.ts';
export {
  type ExpectedDigest,
  type LaunchRecord,
  type MinimumApi,
  parseRecord,
  printProfile,
  printRecord,
} from './core/session/record.ts';
export {
  createSession,
  type LaunchSession,
  type OpenInputs,
  openSession,
  type SessionInputs,
} from './core/session/session.ts';
export { encodeTk, parseTk, type TransportKeys } from './core/session/transport-keys.ts';
export { type Found, findSecrets, type Place, secretsInFile } from './guest/find-secrets.ts';
export { type Guest, thisGuest } from './guest/guest.ts';
export type { FoundSecrets, SecretSource } from './guest/source.ts';
export { nodeHashes } from './host/node-hashes.ts';
export { nodePublicKey } from './host/public-key.ts';
export { readRecord, useRecord } from './host/record.ts';
export { signerOf } from './host/signing-key.ts';
