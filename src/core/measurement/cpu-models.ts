/**
 * @module CPU models and the CPUID signature (function 1, EAX) that QEMU leaves in RDX at reset, which is how the model enters
 * a launch digest.
 */
import { BootsealError } from '../errors.ts';

/** Family, model and stepping as QEMU's `-cpu` properties take them. */
export interface CpuIdentity {
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
}

/** All names of QEMU 11.1.3, read from the program itself (test/vectors/qemu-11.1.3-cpu-models.json): family, model, stepping, names. */
const MODELS: readonly (readonly [number, number, number, string])[] = [
  [4, 8, 0, '486 486-v1'],
  [5, 4, 3, 'pentium pentium-v1'],
  [6, 2, 3, 'athlon athlon-v1'],
  [6, 5, 2, 'pentium2 pentium2-v1'],
  [6, 6, 3, 'qemu32 qemu32-v1'],
  [6, 7, 3, 'pentium3 pentium3-v1'],
  [6, 14, 8, 'coreduo coreduo-v1'],
  [6, 15, 3, 'Conroe Conroe-v1'],
  [6, 15, 11, 'core2duo core2duo-v1'],
  [6, 23, 3, 'Penryn Penryn-v1'],
  [6, 26, 3, 'Nehalem Nehalem-v1 Nehalem-v2 Nehalem-IBRS'],
  [6, 28, 2, 'n270 n270-v1'],
  [6, 42, 1, 'SandyBridge SandyBridge-v1 SandyBridge-v2 SandyBridge-IBRS'],
  [6, 44, 1, 'Westmere Westmere-v1 Westmere-v2 Westmere-IBRS'],
  [6, 58, 9, 'IvyBridge IvyBridge-v1 IvyBridge-v2 IvyBridge-IBRS'],
  [6, 60, 1, 'Haswell-noTSX Haswell-noTSX-IBRS Haswell-v2 Haswell-v4'],
  [6, 60, 4, 'Haswell Haswell-v1 Haswell-v3 Haswell-IBRS'],
  [
    6,
    61,
    2,
    'Broadwell Broadwell-v1 Broadwell-v2 Broadwell-v3 Broadwell-v4 Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS',
  ],
  [
    6,
    85,
    4,
    'Skylake-Server Skylake-Server-v1 Skylake-Server-v2 Skylake-Server-v3 Skylake-Server-v4 Skylake-Server-v5 Skylake-Server-v6 Skylake-Server-IBRS Skylake-Server-noTSX-IBRS',
  ],
  [
    6,
    85,
    6,
    'Cascadelake-Server Cascadelake-Server-v1 Cascadelake-Server-v2 Cascadelake-Server-v3 Cascadelake-Server-v4 Cascadelake-Server-v5 Cascadelake-Server-v6 Cascadelake-Server-v7 Cascadelake-Server-noTSX',
  ],
  [6, 85, 10, 'Cooperlake Cooperlake-v1 Cooperlake-v2'],
  [
    6,
    94,
    3,
    'Skylake-Client Skylake-Client-v1 Skylake-Client-v2 Skylake-Client-v3 Skylake-Client-v4 Skylake-Client-IBRS Skylake-Client-noTSX-IBRS',
  ],
  [6, 95, 1, 'Denverton Denverton-v1 Denverton-v2 Denverton-v3'],
  [
    6,
    106,
    0,
    'Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 Icelake-Server-v7 Icelake-Server-v8 Icelake-Server-v9',
  ],
  [6, 133, 0, 'KnightsMill KnightsMill-v1'],
  [6, 134, 0, 'Icelake-Server Icelake-Server-v1 Icelake-Server-v2 Icelake-Server-v3 Icelake-Server-noTSX'],
  [6, 134, 1, 'Snowridge Snowridge-v1 Snowridge-v2 Snowridge-v3 Snowridge-v4'],
  [
    6,
    143,
    4,
    'SapphireRapids SapphireRapids-v1 SapphireRapids-v2 SapphireRapids-v3 SapphireRapids-v4 SapphireRapids-v5 SapphireRapids-v6 SapphireRapids-v7 SapphireRapids-v8',
  ],
  [6, 173, 0, 'GraniteRapids GraniteRapids-v1'],
  [6, 173, 1, 'GraniteRapids-v2 GraniteRapids-v3 GraniteRapids-v4 GraniteRapids-v5 GraniteRapids-v6 GraniteRapids-v7'],
  [6, 175, 0, 'SierraForest SierraForest-v1'],
  [6, 175, 3, 'SierraForest-v2 SierraForest-v3 SierraForest-v4 SierraForest-v5 SierraForest-v6'],
  [6, 221, 0, 'ClearwaterForest ClearwaterForest-v1 ClearwaterForest-v2 ClearwaterForest-v3 ClearwaterForest-v4'],
  [7, 11, 3, 'YongFeng YongFeng-v1'],
  [7, 91, 3, 'YongFeng-v2 YongFeng-v3'],
  [15, 6, 1, 'Opteron_G1 Opteron_G1-v1 Opteron_G2 Opteron_G2-v1 kvm32 kvm32-v1 kvm64 kvm64-v1'],
  [15, 107, 1, 'qemu64 qemu64-v1'],
  [16, 2, 3, 'Opteron_G3 Opteron_G3-v1 phenom phenom-v1'],
  [19, 1, 0, 'DiamondRapids DiamondRapids-v1 DiamondRapids-v2'],
  [21, 1, 2, 'Opteron_G4 Opteron_G4-v1'],
  [21, 2, 0, 'Opteron_G5 Opteron_G5-v1'],
  [23, 1, 2, 'EPYC EPYC-v1 EPYC-v2 EPYC-v3 EPYC-v4 EPYC-v5 EPYC-IBPB'],
  [23, 49, 0, 'EPYC-Rome EPYC-Rome-v1 EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Rome-v5'],
  [24, 0, 1, 'Dhyana Dhyana-v1 Dhyana-v2'],
  [25, 1, 1, 'EPYC-Milan EPYC-Milan-v1 EPYC-Milan-v2 EPYC-Milan-v3 EPYC-Milan-v4'],
  [25, 17, 0, 'EPYC-Genoa EPYC-Genoa-v1 EPYC-Genoa-v2 EPYC-Genoa-v3'],
  [26, 0, 0, 'EPYC-Turin EPYC-Turin-v1 EPYC-Turin-v2'],
];

/** Names that take their identity from the machine that runs the guest. */
const OF_THE_HOST = ['host', 'max'];

/**
 * Returns the 32-bit CPUID signature (AMD publication 25481, CPUID Fn0000_0001_EAX); throws `usage` when a part does not fit:
 * family 0-270, model 0-255, stepping 0-15.
 */
export function cpuSignature({ family, model, stepping }: CpuIdentity): number {
  inRange('family', family, 0xf + 0xff);
  inRange('model', model, 0xff);
  inRange('stepping', stepping, 0xf);
  const base = Math.min(family, 0xf);
  return ((family - base) << 20) | ((model >> 4) << 16) | (base << 8) | ((model & 0xf) << 4) | stepping;
}

/** Throws `usage` unless `signature` is a number of 32 bits. */
export function checkSignature(signature: number): void {
  inRange('signature', signature, 0xffffffff);
}

function inRange(part: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new BootsealError('usage', `CPU ${part} ${value} is not in 0-${max}`, {
      hint: 'take the numbers from /proc/cpuinfo of the platform, or name a CPU with --cpu',
    });
  }
}

/** Returns the identity of a QEMU CPU model; throws `usage` for a name that QEMU 11 does not have. */
export function cpuModel(name: string): CpuIdentity {
  for (const [family, model, stepping, names] of MODELS) {
    if (names.split(' ').includes(name)) return { family, model, stepping };
  }
  if (OF_THE_HOST.includes(name)) {
    throw new BootsealError('usage', `CPU model ${name} is whatever the host has`, {
      hint: 'give the host CPU as --cpu-family, --cpu-model and --cpu-stepping',
    });
  }
  if (name === 'base') {
    throw new BootsealError('usage', 'CPU model base has no identity of its own: QEMU leaves it 0', {
      hint: 'say --cpu-signature 0, or what -cpu base,family=…,model=…,stepping=… was given',
    });
  }
  const known = cpuModelNames().find((other) => other.toLowerCase() === name.toLowerCase());
  throw new BootsealError('usage', `unknown CPU model ${JSON.stringify(name.slice(0, 64))}`, {
    hint:
      known === undefined
        ? 'names are those of qemu-system-x86_64 -cpu help, such as EPYC-v4 or EPYC-Milan; any other CPU works as --cpu-signature'
        : `did you mean ${known}?`,
  });
}

/** Returns every known name, in the order of family, model and stepping. */
export function cpuModelNames(): readonly string[] {
  return MODELS.flatMap(([, , , names]) => names.split(' '));
}

/** Returns the names that have this signature; none for a CPU that QEMU 11 has no model of. */
export function modelsOfSignature(signature: number): readonly string[] {
  return MODELS.filter(([family, model, stepping]) => cpuSignature({ family, model, stepping }) === signature).flatMap(
    ([, , , names]) => names.split(' '),
  );
}

/** Returns the signature of every known model once, AMD's of today first: others are seldom what an encrypted guest is given. */
export function knownSignatures(): readonly number[] {
  const all = MODELS.map(([family, model, stepping]) => ({
    family,
    signature: cpuSignature({ family, model, stepping }),
  }));
  const amd = ({ family }: { readonly family: number }) => family >= FIRST_EPYC_FAMILY;
  return [...all.filter(amd), ...all.filter((model) => !amd(model))].map(({ signature }) => signature);
}

const FIRST_EPYC_FAMILY = 23;
