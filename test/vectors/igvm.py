#!/usr/bin/env python3
"""Makes igvm.json: IGVM files described in words, and the digest that each loader gives them.

Independent of src: it writes the files itself, reads them back itself, and follows the loops of igvmmeasure (COCONUT SVSM
f4bc4bc), igvm/src/measurement (microsoft/igvm e6c3ff1), backends/igvm.c and target/i386/sev.c (QEMU, the latter at 1c980ea) step by step, and for what
KVM makes of a VMSA arch/x86/kvm (Linux 6.12). No code of theirs is in it.

    python3 igvm.py > igvm.json
    python3 igvm.py "no VMSA" > file.igvm
"""
import hashlib, json, struct, sys, zlib

PAGE, LARGE, KVM = 4096, 1 << 21, 0xFFFFFFFFF000
NATIVE, VSM, SNP, TDX, SEV, ES = range(6)


def page_bytes(seed):
    """A pattern, or zeros with the bytes that a list says: [offset, hexadecimal]."""
    if isinstance(seed, int):
        return bytes((seed + 31 * i + (i >> 8)) & 0xFF for i in range(PAGE))
    page = bytearray(PAGE)
    for at, data in seed:
        page[at : at + len(data) // 2] = bytes.fromhex(data)
    return bytes(page)


# --- writing

def build(recipe):
    heads, data = [], b""
    total = 0
    for kind, payload in headers(recipe, None):
        total += 8 + (len(payload) + 7) // 8 * 8
    start = 24 + total
    blobs = []

    def place(seed):
        if seed is None:
            return 0
        blobs.append(page_bytes(seed))
        return start + PAGE * (len(blobs) - 1)

    variable = b""
    for kind, payload in headers(recipe, place):
        variable += struct.pack("<II", kind, len(payload)) + payload + bytes(-len(payload) % 8)
    data = b"".join(blobs)
    fixed = [b"IGVM", 1, 24, len(variable), start + len(data), 0]
    fixed[5] = zlib.crc32(struct.pack("<4sIIIII", *fixed) + variable)
    return struct.pack("<4sIIIII", *fixed) + variable + data


def headers(recipe, place):
    place = place or (lambda seed: 0)
    for p in recipe["platforms"]:
        yield 0x1, struct.pack("<IBBHQ", p["mask"], 0, p["type"], 1, 0)
    for p in recipe.get("policies", []):
        yield 0x101, struct.pack("<QII", int(p["policy"], 16), p["mask"], 0)
    for d in recipe["directives"]:
        kind, gpa = d["kind"], int(d.get("gpa", "0x0"), 16)
        if kind == "page":
            yield 0x302, struct.pack("<QIIIHH", gpa, d["mask"], place(d["data"]), d["flags"], d["type"], 0)
        elif kind == "area":
            yield 0x301, struct.pack("<QII", d["size"], d["index"], 0)
        elif kind == "insert":
            yield 0x303, struct.pack("<QII", gpa, d["mask"], d["index"])
        elif kind == "vcpu":
            yield 0x304, struct.pack("<QIIHH", gpa, d["mask"], place(d["data"]), d["vcpu"], 0)
        elif kind == "memory":
            yield 0x305, struct.pack("<QIIII", gpa, d["mask"], d["size"], 0, 0)
        elif kind == "id-block":
            yield 0x30B, struct.pack("<IB3x", d["mask"], 0) + bytes.fromhex(d["digest"]) + bytes(32) + struct.pack("<IIII", 1, 0, 1, 1) + bytes(592)


# --- reading back

def parse(blob):
    magic, version, at, size, total, crc = struct.unpack_from("<4sIIIII", blob)
    assert magic == b"IGVM" and total == len(blob)
    platforms, policies, directives = {}, [], []
    end = at + size
    while at < end:
        kind, length = struct.unpack_from("<II", blob, at)
        body = blob[at + 8 : at + 8 + length]
        at += 8 + (length + 7) // 8 * 8
        if kind == 0x1:
            mask, _, ptype, _, _ = struct.unpack("<IBBHQ", body)
            platforms[ptype] = mask
        elif kind == 0x101:
            policies.append(struct.unpack("<QII", body)[1])
        elif kind == 0x302:
            gpa, mask, off, flags, dtype, _ = struct.unpack("<QIIIHH", body)
            directives.append(("page", gpa, mask, flags, dtype, blob[off : off + PAGE] if off else b""))
        elif kind == 0x301:
            directives.append(("area",) + struct.unpack("<QII", body)[:2])
        elif kind == 0x303:
            directives.append(("insert",) + struct.unpack("<QII", body))
        elif kind == 0x304:
            gpa, mask, off, vcpu, _ = struct.unpack("<QIIHH", body)
            directives.append(("vcpu", gpa, mask, vcpu, blob[off : off + PAGE]))
        else:
            directives.append(("other",))
    return platforms, policies, directives


class Stop(Exception):
    pass


class Ld:
    def __init__(self):
        self.ld = bytes(48)

    def update(self, ptype, gpa, contents=None):
        h = hashlib.sha384(contents).digest() if contents is not None else bytes(48)
        info = self.ld + h + struct.pack("<HBB", 0x70, ptype, 0) + bytes(4) + struct.pack("<Q", gpa)
        assert len(info) == 0x70
        self.ld = hashlib.sha384(info).digest()


# --- igvmmeasure: do_measure, measure_page, measure_page_4k, measure_vmsa

def igvmmeasure(parsed, platform, native_zero=False):
    platforms, _, directives = parsed
    compat = platforms[platform]
    ld, es = Ld(), hashlib.sha256()

    def page_4k(gpa, flags, dtype, data):
        if platform != SNP:
            es.update(data)
        elif dtype == 0 and flags & 2:
            ld.update(4, gpa)
        elif dtype == 0 and not data:
            ld.update(3, gpa) if native_zero else ld.update(1, gpa, bytes(PAGE))
        elif dtype == 0:
            ld.update(1, gpa, data)
        elif dtype == 1:
            ld.update(5, gpa)
        else:
            ld.update(6, gpa)

    def page(gpa, flags, dtype, data):
        size = LARGE if flags & 1 else PAGE
        if data and len(data) != size:
            raise Stop("assert")
        for off in range(0, size, PAGE):
            page_4k(gpa + off, flags, dtype, data[off : off + PAGE])

    for d in directives:
        if d[0] == "page" and d[2] & compat:
            page(d[1], d[3], d[4], d[5])
        elif d[0] == "insert" and d[2] & compat:
            page(d[1], 2, 0, b"")
        elif d[0] == "vcpu" and [t for t, m in platforms.items() if m == d[2]][0] in (SNP, ES):
            ld.update(2, d[1], d[4]) if platform == SNP else es.update(d[4])
    return (ld.ld if platform == SNP else es.digest()).hex()


# --- microsoft/igvm: generate_snp_measurement, generate_tdx_measurement

def microsoft(parsed, platform):
    platforms, policies, directives = parsed
    compat, areas, ld, td = platforms[platform], {}, Ld(), hashlib.sha384()
    if platform == SNP and not any(m & compat == compat for m in policies):
        raise Stop("MissingGuestPolicy")

    def tdx(gpa, data):
        td.update(b"MEM.PAGE.ADD".ljust(16, b"\0") + struct.pack("<Q", gpa) + bytes(104))
        if data is not None:
            data = data or bytes(PAGE)
            for off in range(0, PAGE, 256):
                td.update(b"MR.EXTEND".ljust(16, b"\0") + struct.pack("<Q", gpa + off) + bytes(104) + data[off : off + 256])

    for d in directives:
        if d[0] == "area":
            areas[d[2]] = d[1]
        elif d[0] == "other" or d[2] & compat != compat:
            continue
        elif d[0] == "page":
            _, gpa, _, flags, dtype, data = d
            if flags & 4:
                continue
            if platform == TDX:
                tdx(gpa, None if flags & 2 else data)
            elif dtype == 1:
                ld.update(5, gpa)
            elif dtype in (2, 3):
                ld.update(6, gpa)
            elif flags & 2:
                ld.update(4, gpa)
            else:
                ld.update(1, gpa, data or bytes(PAGE))
        elif d[0] == "insert":
            for gpa in range(d[1], d[1] + areas[d[3]], PAGE):
                ld.update(4, gpa) if platform == SNP else tdx(gpa, None)
        elif d[0] == "vcpu" and platform == SNP:
            ld.update(2, d[1], d[4])
    return (ld.ld if platform == SNP else td.digest()).hex()


# --- QEMU: check_sev_features and check_vmsa_supported (target/i386/sev.c) over struct sev_es_save_area (target/i386/sev.h)

SAVE_AREA = 0x670
SEV_FEATURES = 0x3B0
# es to tr, efer, cr4 cr3 cr0 dr7 dr6 rflags rip, rsp, rax, g_pat, rcx rdx rbx, rbp to r15, sev_features, xcr0, mxcsr, x87_fcw
TAKEN = [(0, 0xA0), (0xD0, 8), (0x148, 0x38), (0x1D8, 8), (0x1F8, 8), (0x268, 8), (0x308, 0x18), (0x328, 0x58), (SEV_FEATURES, 8),
         (0x3E8, 8), (0x408, 4), (0x410, 2)]


def check_vmsa(platform, gpa, page):
    if gpa != KVM:
        raise Stop("gpa")
    if (page[SEV_FEATURES] & 1 == 1) != (platform == SNP):
        raise Stop("sev_features")
    rest = bytearray(page[:SAVE_AREA])
    for at, size in TAKEN:
        rest[at : at + size] = bytes(size)
    if any(rest):
        raise Stop("fields")
    return page[:SAVE_AREA] + bytes(PAGE - SAVE_AREA)


# --- QEMU: sev_apply_cpu_context, helper.c, kvm_put_*; KVM: KVM_SET_SREGS, KVM_SET_REGS, KVM_SET_XCRS, KVM_SET_DEBUGREGS, sev_es_sync_vmsa

EFER, CR4, CR3, CR0, DR7, DR6, RFLAGS, PAT, XCR0 = 0xD0, 0x148, 0x150, 0x158, 0x160, 0x168, 0x170, 0x268, 0x3E8
ES_, CS_, SS_, DS_, FS_, GS_, GDTR, LDTR, IDTR, TR = range(0, 0xA0, 0x10)


def kvm(page, features):
    out = bytearray(page)
    get = lambda at: struct.unpack_from("<Q", out, at)[0]
    put = lambda at, value: struct.pack_into("<Q", out, at, value)
    seg = lambda at: struct.unpack_from("<HHIQ", out, at)
    # QEMU: 32 bits of CR0 and CR4; CR0.ET; long mode is entered with PAE alone.
    efer, cr0, cr4 = get(EFER), get(CR0) & 0xFFFFFFFF, get(CR4) & 0xFFFFFFFF
    if cr0 >> 31 and efer >> 8 & 1:
        if cr4 >> 5 & 1:
            efer |= 0x400
        else:
            cr0 = 0x60000010
    cr0 |= 0x10
    for at in (ES_, CS_, SS_, DS_, FS_, GS_, LDTR, TR):
        selector, attributes, limit, base = seg(at)
        attributes &= 0xFFF
        if get(RFLAGS) >> 17 & 1 and at not in (LDTR, TR):
            attributes = 0xF3
        struct.pack_into("<HHIQ", out, at, selector, attributes, limit, seg(LDTR)[3] if at == TR else base)
    # KVM_SET_SREGS
    long = efer >> 8 & 1 and cr0 >> 31
    if (efer >> 10 & 1 or seg(CS_)[1] >> 9 & 1) and not long:
        raise Stop("long mode")
    if long and get(CR3) >> 52:
        raise Stop("cr3")
    if cr0 >> 31 and not cr0 & 1 or cr0 >> 29 & 1 and not cr0 >> 30 & 1:
        raise Stop("cr0")
    if cr4 & (1 << 13 | 1 << 14 | 1 << 15 | 1 << 19 | 1 << 25 | 1 << 26 | 7 << 29):
        raise Stop("cr4")
    if efer & ~(1 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 17 | 1 << 18 | 1 << 20 | 1 << 21):
        raise Stop("efer")
    put(EFER, efer | 1 << 12)
    put(CR0, cr0 & ~(3 << 29))
    put(CR4, cr4 | 1 << 6)
    out[0xCB] = seg(SS_)[1] >> 5 & 3
    for at in (GDTR, IDTR):
        struct.pack_into("<HHIQ", out, at, 0, 0, seg(at)[2] & 0xFFFF, seg(at)[3])
    put(RFLAGS, get(RFLAGS) | 2)
    xcr0 = get(XCR0)
    pair = lambda one, other: (xcr0 >> one & 1) == (xcr0 >> other & 1)
    if not xcr0 & 1 or xcr0 & 4 and not xcr0 & 2 or not pair(3, 4) or not pair(17, 18):
        raise Stop("xcr0")
    if xcr0 & 0xE0 and (xcr0 & 0xE0 != 0xE0 or not xcr0 & 4):
        raise Stop("xcr0")
    if any(one not in (0, 1, 4, 5, 6, 7) for one in out[PAT : PAT + 8]):
        raise Stop("pat")
    if get(DR6) >> 32 or get(DR7) & ~0x400:
        raise Stop("dr")
    put(SEV_FEATURES, features)
    return bytes(out)


# --- QEMU: qigvm_process_file with the regions of qigvm_process_mem_page, and KVM's end of a launch

def fpu_as_at_reset(vmsa):
    """fpstate_init_user, which copy_uabi_to_xstate leaves where xstate_bv is 0."""
    out = bytearray(vmsa)
    struct.pack_into("<I", out, 0x408, 0x1F80)
    struct.pack_into("<H", out, 0x410, 0x37F)
    return bytes(out)


def qemu(parsed, platform, fpu=lambda vmsa: vmsa):
    platforms, _, directives = parsed
    compat, areas, ld, es = platforms[platform], {}, Ld(), hashlib.sha256()
    state, region = {}, []

    def set_guest_state(gpa, blob, kind):
        if kind in ("secrets", "cpuid") and platform != SNP:
            raise Stop(kind)
        if platform != SNP:
            if kind == "data":
                es.update(blob)
            return
        for off in range(0, len(blob), PAGE):
            if kind == "data":
                ld.update(1, gpa + off, blob[off : off + PAGE])
            else:
                ld.update({"unmeasured": 4, "secrets": 5, "cpuid": 6}[kind], gpa + off)

    def flush():
        if not region:
            return
        flags, dtype = region[-1][1][3], region[-1][1][4]
        size = LARGE if flags & 1 else PAGE
        blob = b"".join(r[1][5] + bytes(size - len(r[1][5])) for r in region)
        kind = "secrets" if dtype == 1 else "cpuid" if dtype in (2, 3) else "unmeasured" if flags & 2 else "data"
        set_guest_state(region[0][1][1], blob, kind)
        region.clear()

    for index, d in enumerate(directives):
        if d[0] == "area":
            areas[d[2]] = d[1]
        elif d[0] == "page" and d[2] & compat:
            if region:
                last_index, last = region[-1]
                size = LARGE if last[3] & 1 else PAGE
                before = directives[index - 1]
                no_data = lambda one: one[0] != "page" or not one[5]
                same = (d[3], d[4], d[2]) == (last[3], last[4], last[2]) and no_data(d) == no_data(before)
                if not same or last[1] + size != d[1] or last_index != index - 1:
                    flush()
            region.append((index, d))
        elif d[0] == "insert" and d[2] & compat:
            set_guest_state(d[1], bytes(areas[d[3]]), "unmeasured")
        elif d[0] == "vcpu" and d[2] & compat:
            if platform == SEV:
                raise Stop("vmsa")
            state[d[3]] = check_vmsa(platform, d[1], d[4])
    flush()
    # sev_common_kvm_init takes the features of all from the VMSA of vCPU 0.
    features = struct.unpack_from("<Q", state[0], SEV_FEATURES)[0] if 0 in state else int(platform == SNP)
    state = {one: fpu(kvm(its, features)) for one, its in state.items()}
    for vcpu in sorted(state):
        ld.update(2, KVM, state[vcpu]) if platform == SNP else es.update(state[vcpu])
    return (ld.ld if platform == SNP else es.digest()).hex()


# --- the files

def page(gpa, data, mask=1, flags=0, type=0):
    return {"kind": "page", "gpa": hex(gpa), "mask": mask, "flags": flags, "type": type, "data": data}


def vmsa(seed, features, *more):
    """What QEMU can hand to KVM, different for each seed: segments, control registers, RIP, all that is taken, and `more`."""
    u64 = lambda value: struct.pack("<Q", value).hex()
    fields = [[0x10 * i, struct.pack("<HHIQ", *((0, 0) if i in (6, 8) else (8 * i, 0x93 + i)), 0xFFFF, 0).hex()] for i in range(10)]
    fields += [[0xD0, u64(0x1000)], [0x148, u64(0x40)], [0x158, u64(0x31)], [0x160, u64(0x400)], [0x168, u64(0xFFFF0FF0)], [0x170, u64(2)]]
    fields += [[0x178, u64(0xFFF0 + seed)], [0x1D8, u64(seed << 12)], [0x1F8, u64(seed)], [0x268, u64(0x7040600070406)], [0x310, u64(0x800F12)]]
    fields += [[0x328 + 8 * i, u64(seed + i)] for i in range(11)]
    fields += [[SEV_FEATURES, u64(features)]] if features else []
    return fields + [[0x3E8, u64(1)], [0x408, "801f0000"], [0x410, "7f03"]] + [list(one) for one in more]


def vcpu(data, gpa=KVM, mask=1, vcpu=0):
    if isinstance(data, int):
        data = vmsa(data, 1 if mask == 1 else 0)
    return {"kind": "vcpu", "gpa": hex(gpa), "mask": mask, "vcpu": vcpu, "data": data}


def pattern(seed, **rest):
    """A VMSA in which no byte is as it should be."""
    return {**vcpu([], **rest), "data": seed}


def area(index, size):
    return {"kind": "area", "index": index, "size": size}


def insert(gpa, index, mask=1):
    return {"kind": "insert", "gpa": hex(gpa), "mask": mask, "index": index}


SNP_ONLY, POLICY = [{"type": SNP, "mask": 1}], [{"policy": "0x30000", "mask": 1}]
TWO = [{"type": SNP, "mask": 1}, {"type": ES, "mask": 2}]
ALL = [{"type": SNP, "mask": 1}, {"type": ES, "mask": 2}, {"type": SEV, "mask": 4}, {"type": TDX, "mask": 8}, {"type": VSM, "mask": 16}]

FILES = {
    "all agree: pages, zeros, unmeasured, secrets, cpuid, parameters first, VMSA last": dict(
        platforms=SNP_ONLY, policies=POLICY,
        directives=[area(0, PAGE), {"kind": "memory", "gpa": "0x0", "mask": 1, "size": 0x100000}, insert(0x5000, 0),
                    page(0x1000, 1), page(0x2000, 2), page(0x3000, None), page(0x4000, 3, flags=2), page(0x6000, None, type=1),
                    page(0x7000, None, type=2), page(0x8000, 5, type=3), page(0xFFFFF000, 6), vcpu(7)]),
    "no VMSA": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1)]),
    "two VMSAs": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(2), vcpu(3, vcpu=1)]),
    "parameter area of three pages": dict(platforms=SNP_ONLY, policies=POLICY, directives=[area(7, 3 * PAGE), insert(0x10000, 7), page(0x1000, 1), vcpu(9)]),
    "parameter area behind pages": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[area(0, PAGE), page(0x1000, 1), page(0x2000, 2), page(0x9000, 3), insert(0x5000, 0), page(0xA000, 4), vcpu(9)]),
    "shared pages": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), page(0x2000, 2, flags=4), page(0x3000, None, flags=6), vcpu(9)]),
    "VMSA of another platform": dict(platforms=TWO, policies=POLICY, directives=[page(0x1000, 1, mask=3), page(0x2000, 2, mask=2), vcpu(9), vcpu(10, mask=2)]),
    "2 MiB of zeros": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(LARGE, None, flags=1), vcpu(9)]),
    "2 MiB unmeasured, secrets": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(LARGE, None, flags=3), page(2 * LARGE, None, flags=1, type=1), vcpu(9)]),
    "2 MiB with data": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(LARGE, 4, flags=1), vcpu(9)]),
    "no guest policy": dict(platforms=SNP_ONLY, policies=[], directives=[page(0x1000, 1), vcpu(9)]),
    "VMSA first": dict(platforms=SNP_ONLY, policies=POLICY, directives=[vcpu(9), page(0x1000, 1)]),
    "VMSAs in another order": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(3, vcpu=1), vcpu(2)]),
    "VMSA twice": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(3), vcpu(2)]),
    "VMSA at an address of Hyper-V": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(9, gpa=0x8000)]),
    "VMSA of any bytes": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), pattern(8)]),
    "VMSA with fields that QEMU does not take": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (0xCA, "01"), (0xCB, "03"), (0x200, "10"), (0x240, "20")))]),
    "VMSA with a reserved byte": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (0x2F0, "01")))]),
    "VMSA with bytes behind the save area": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (SAVE_AREA, "01"), (0xFFF, "02")))]),
    "VMSA without SNP_ACTIVE": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 0x20))]),
    "VMSA with more features": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 0x29))]),
    "VMSA that KVM changes": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 0x21,
        (0x99, "10"), (EFER, "0000"), (CR4, "20"), (CR0, "01000060"), (RFLAGS, "00"), (GDTR, "08009300ffffffff"), (IDTR + 2, "8200"), (DS_ + 3, "fc"), (SS_ + 2, "f3")))]),
    "VMSA that KVM does not change: CR0 0x10, no debug state": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (CR0, "10"), (DR7, "0000"), (DR6, "00000000"), (XCR0, "07")))]),
    "VMSA for long mode, without LMA": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (EFER, "0011"), (CR0, "31000080"), (CR4, "60"), (CS_ + 2, "9b02")))]),
    "VMSA for long mode, without PAE": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (EFER, "0011"), (CR0, "31000080")))]),
    "VMSA for virtual 8086 mode": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (RFLAGS, "020002")))]),
    "VMSA without floating-point state, as COCONUT has it": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (0x408, "0000"), (0x410, "0000")))]),
    "VMSA without floating-point state, of the second vCPU alone": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (0x408, "0000")), vcpu=1), vcpu(8)]),
    "VMSAs with other features": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 0x21)), vcpu(vmsa(10, 1), vcpu=1)]),
    "VMSA of the second vCPU alone": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 0x21), vcpu=1)]),
    **{f"VMSA that KVM refuses: {what}": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 1, *more))]) for what, more in {
        "LMA without paging": [(EFER, "0015")], "64-bit CS without long mode": [(CS_ + 3, "02")], "paging without PE": [(CR0, "30000080")],
        "NW without CD": [(CR0, "31000020")], "CR3": [(EFER, "0015"), (CR0, "31000080"), (CR4, "60"), (CR3 + 6, "10")], "CR4": [(CR4, "4020")],
        "EFER": [(EFER, "0210")], "DR7": [(DR7, "0104")], "DR6": [(DR6 + 4, "01")], "XCR0": [(XCR0, "00")], "XCR0, AVX alone": [(XCR0, "05")],
        "XCR0, half of AVX-512": [(XCR0, "27")], "XCR0, half of MPX": [(XCR0, "0f")], "PAT": [(PAT, "02")]}.items()},
    "VMSA that KVM refuses, then another": dict(platforms=SNP_ONLY, policies=POLICY, directives=[page(0x1000, 1), vcpu(vmsa(9, 1, (XCR0, "00"))), vcpu(2)]),
    "VMSA twice, the first not as QEMU takes it": dict(platforms=SNP_ONLY, policies=POLICY,
        directives=[page(0x1000, 1), vcpu(vmsa(3, 1, (0xCB, "03"))), vcpu(2)]),
    "all platforms": dict(platforms=ALL, policies=POLICY,
        directives=[area(1, 2 * PAGE), insert(0x20000, 1, mask=31), page(0x1000, 1, mask=31), page(0x2000, None, mask=31), page(0x3000, 3, mask=8, flags=2),
                    page(0x4000, 4, mask=8, flags=4), page(0x5000, None, mask=1, type=2), vcpu(9), vcpu(10, mask=2)]),
    "SEV: zeros and unmeasured pages": dict(platforms=ALL[1:3], directives=[page(0x1000, 1, mask=6), page(0x2000, None, mask=6), page(0x3000, 3, mask=6, flags=2), vcpu(9, mask=2), vcpu(10, mask=2, vcpu=1)]),
    "SEV: a VMSA that KVM changes": dict(platforms=ALL[1:2], directives=[page(0x1000, 1, mask=2), vcpu(vmsa(9, 0, (EFER, "0000")), mask=2)]),
    "SEV: a VMSA with another x87 control word": dict(platforms=ALL[1:2], directives=[page(0x1000, 1, mask=2), vcpu(vmsa(9, 0, (0x410, "7f02")), mask=2)]),
    "SEV: a VMSA with SNP_ACTIVE": dict(platforms=ALL[1:3], directives=[page(0x1000, 1, mask=6), vcpu(vmsa(9, 1), mask=2)]),
    "SEV: a secrets page": dict(platforms=ALL[1:3], directives=[page(0x1000, 1, mask=6), page(0x2000, 2, mask=6, type=1), vcpu(9, mask=2)]),
}

if len(sys.argv) > 1:
    sys.stdout.buffer.write(build(FILES[sys.argv[1]]))
    sys.exit()

NAMES = {SNP: "snp", ES: "sev-es", SEV: "sev", TDX: "tdx"}
out = []
for name, recipe in FILES.items():
    blob = build(recipe)
    parsed = parse(blob)
    digests = {}
    for ptype in parsed[0]:
        if ptype not in NAMES:
            continue
        its = digests.setdefault(NAMES[ptype], {})
        ways = {"microsoft": microsoft} if ptype == TDX else {"qemu": qemu, "coconut": igvmmeasure}
        if ptype == SNP:
            ways.update({"microsoft": microsoft, "native-zero": lambda a, b: igvmmeasure(a, b, True)})
        for way, run in ways.items():
            try:
                its[way] = run(parsed, ptype)
            except Stop:
                its[way] = None
        if its.get("qemu") is not None:
            reset = qemu(parsed, ptype, fpu_as_at_reset)
            if reset != its["qemu"]:
                its["qemu, FPU as at reset"] = reset
    out.append({"name": name, **recipe, "sha256": hashlib.sha256(blob).hexdigest(), "digests": digests})
head = {"class": "derived", "made": "by igvm.py beside this file, which shares nothing with src"}
print(json.dumps(head)[:-1] + ', "files": [\n' + ",\n".join(json.dumps(one) for one in out) + "\n]}")
