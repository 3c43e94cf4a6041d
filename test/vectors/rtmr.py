#!/usr/bin/env python3
"""Makes rtmr.json: RTMRs of direct boots, computed here from the specifications and not by the code under test.

    rtmr.py OVMF_2025.02-8+deb13u1.fd linux.efi table-loader.bin > rtmr.json

The files are those of test/fixtures/debian-ovmf and test/fixtures/tdx-boot, unpacked (Brotli). Other inputs are in the cases.
"""
import hashlib
import json
import struct
import sys


def sha(data):
    return hashlib.sha384(data).digest()


def extend(digests):
    value = bytes(48)
    for digest in digests:
        value = sha(value + digest)
    return value.hex()


def sections(image):
    """The TDX metadata: file offset, raw size, address, memory size, type, attributes."""
    at = image.rindex(b"TDVF")
    count = struct.unpack_from("<I", image, at + 12)[0]
    return [struct.unpack_from("<IIQQII", image, at + 16 + 32 * i) for i in range(count)]


def hob_list(memory, image):
    parts = sections(image)
    place = next(s[2] for s in parts if s[4] == 2)
    below = memory if memory < 0xB0000000 else 0x80000000
    runs, at = [], 0
    for start, size in sorted((s[2], s[3]) for s in parts if s[4] in (2, 3)):
        if start > at:
            runs.append((7, at, start - at))
        runs.append((0, start, size))
        at = start + size
    runs.append((7, at, below - at))
    if memory > below:
        runs.append((7, 1 << 32, memory - below))
    body = b"".join(struct.pack("<HHI16sIIQQ", 3, 48, 0, bytes(16), kind, 7, start, size) for kind, start, size in runs)
    end = place + 56 + len(body) + 8
    return struct.pack("<HHIII4QQ", 1, 56, 0, 9, 0, 0, 0, 0, 0, end) + body


def variable(guid, name, data=b""):
    text = name.encode("utf-16-le")
    return bytes.fromhex(guid) + struct.pack("<QQ", len(name), len(data)) + text + data


GLOBAL = "61dfe48bca93d211aa0d00e098032b8c"
DATABASE = "cbb219d73a3d9645a3bcdad00e67656f"


def menu_option():
    path = bytes.fromhex("04071400c9bdb87cebf8344faaea3ee4af6516a1" "0406140021aa2c4614760345836e8ab6f4662331" "7fff0400")
    return struct.pack("<IH", 0x109, len(path)) + "UiApp\0".encode("utf-16-le") + path


def qemu_header(kernel, memory, initrd):
    out = bytearray(kernel)
    out[0x210] = 0xB0
    out[0x211] |= 0x80
    struct.pack_into("<H", out, 0x224, 0xFE00)
    struct.pack_into("<I", out, 0x228, 0x20000)
    if initrd is not None:
        below = memory if memory < 0xB0000000 else 0x80000000
        top = min(0xFFFFFFFF, below - 0x28000 - 1)
        struct.pack_into("<II", out, 0x218, (top - len(initrd)) & ~4095, len(initrd))
    return bytes(out)


def authenticode(program):
    optional = struct.unpack_from("<I", program, 0x3C)[0] + 24
    headers = struct.unpack_from("<I", program, optional + 60)[0]
    entry = optional + 112 + 4 * 8
    certificates = struct.unpack_from("<I", program, entry + 4)[0]
    count, size = struct.unpack_from("<H", program, optional - 18)[0], struct.unpack_from("<H", program, optional - 4)[0]
    table = [struct.unpack_from("<II", program, optional + size + 40 * i + 16) for i in range(count)]
    data = program[: optional + 64] + program[optional + 68 : entry] + program[entry + 8 : headers]
    done = headers
    for length, offset in sorted(table, key=lambda section: section[1]):
        data += program[offset : offset + length]
        done += length
    return sha(data + program[done : len(program) - certificates])


def boot(case, image, kernel, loader):
    initrd = None if case["initrd"] is None else case["initrd"].encode()
    rsdp, tables = case["rsdp"].encode(), case["tables"].encode()
    old, first = case["profile"] == "edk2-202211", case["profile"] == "edk2-202508"
    word = b"" if not initrd else b"initrd=initrd " if first else b" initrd=initrd"
    line = word + case["cmdline"].encode() if first else case["cmdline"].encode() + word
    cfv = next(image[s[0] : s[0] + s[1]] for s in sections(image) if s[4] == 1)
    separator = sha(bytes(4))
    named = [variable(GLOBAL, name) for name in ("SecureBoot", "PK", "KEK")]
    named += [variable(DATABASE, name) for name in ("db", "dbx")]
    rtmr0 = [sha(data) for data in [hob_list(case["memory"], image), cfv, *named]] + [separator]
    rtmr0 += [sha(data) for data in [loader, rsdp, tables, bytes(2), menu_option()]] + [separator] * old
    seen = qemu_header(kernel, case["memory"], initrd) if case["kernelHeader"] == "changed" else kernel
    rtmr1 = [authenticode(seen), sha(b"Calling EFI Application from Boot Option")] + [separator] * (not old)
    rtmr1 += [sha(b"Exit Boot Services Invocation"), sha(b"Exit Boot Services Returned with Success")]
    rtmr2 = [sha((line + b"\0").decode("latin-1").encode("utf-16-le"))] if line else []
    rtmr2 += [sha(initrd)] if initrd else []
    return {**case, "rtmrs": [extend(rtmr0), extend(rtmr1), extend(rtmr2)]}


def main():
    image, kernel, loader = (open(name, "rb").read() for name in sys.argv[1:4])
    files = {"rsdp": "RSD PTR 0123456789ab", "tables": "DSDT, FACP and others"}
    mib = 1 << 20
    given = [
        ("edk2-202211", "changed", 2048 * mib, "console=hvc0", "an initrd"),
        ("edk2-202211", "changed", 512 * mib, "console=hvc0", None),
        ("edk2-202211", "unchanged", 2815 * mib, "", "x" * 5000),
        ("edk2-202411", "changed", 2816 * mib, "root=/dev/vda1 -- init", "x" * 4096),
        ("edk2-202411", "changed", 65536 * mib, "", None),
        ("edk2-202502", "unchanged", 4096 * mib, "console=ttyS0 quiet", "an initrd"),
        ("edk2-202502", "changed", 1024 * mib + 8192, "a", ""),
        ("edk2-202508", "unchanged", 10240 * mib, "console=hvc0 \u00e9", "an initrd"),
        ("edk2-202508", "unchanged", 1 << 40, "console=hvc0", None),
    ]
    names = ("profile", "kernelHeader", "memory", "cmdline", "initrd")
    cases = [boot({**dict(zip(names, values)), **files}, image, kernel, loader) for values in given]
    json.dump({"cases": cases}, sys.stdout, indent=2)
    print()


main()
