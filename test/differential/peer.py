"""Runs the code of Debian's virt-qemu-sev-validate over many guests in one process: a JSON list on stdin, one on stdout.

The program itself is loaded, unchanged, as a module. Two things are done around it: the IV that it draws can be given, and
the whole block of padding that it adds to a table which needs none is taken off (its length would differ, nothing else).
"""
import importlib.machinery
import importlib.util
import json
import os
import sys
from hashlib import sha256

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("peer", "/usr/bin/virt-qemu-sev-validate")
peer = importlib.util.module_from_spec(importlib.util.spec_from_loader("peer", loader))
loader.exec_module(peer)


def guest(case, measurement):
    vm = peer.OfflineConfidentialVM(
        measurement=measurement,
        api_major=case["api"]["major"],
        api_minor=case["api"]["minor"],
        build_id=case["api"]["build"],
        policy=case["policy"],
        num_cpus=case["vcpus"],
    )
    vm.load_firmware(case["firmware"])
    vm.load_tk(case["tk"])
    if case["kernel"] is not None:
        vm.kernel_table.load_kernel(case["kernel"])
        if case["initrd"] is not None:
            vm.kernel_table.load_initrd(case["initrd"])
        if case["cmdline"] is not None:
            vm.kernel_table.load_cmdline(case["cmdline"])
    if vm.is_sev_es():
        cpu = case["cpu"]
        vm.build_vmsas(cpu["family"], cpu["model"], cpu["stepping"])
    for guid, path in case["secrets"]:
        vm.secrets_table.load_secret(guid, path)
    return vm


def accepts(case, measurement):
    try:
        guest(case, measurement).attest()
        return True
    except peer.AttestationFailedException:
        return False


def packet(vm):
    header, payload = vm.build_secrets()
    return {"header": header, "payload": payload}


def without_extra_block(build):
    table = build()
    length = int.from_bytes(table[16:20], "little")
    return table[: (length + 15) // 16 * 16]


def packet_with(case, iv):
    vm = guest(case, case["measurement"])
    build = vm.secrets_table.build
    vm.secrets_table.build = lambda: without_extra_block(build)
    random = os.urandom
    os.urandom = lambda _size: bytes.fromhex(iv)
    try:
        return packet(vm)
    finally:
        os.urandom = random


def answer(case):
    vm = guest(case, case["measurement"])
    _, computed = vm.get_measurements()
    return {
        "digest": sha256(vm.get_measured_data()).hexdigest(),
        "measure": computed.hex(),
        "acceptsRight": accepts(case, case["measurement"]),
        "acceptsChanged": accepts(case, case["changed"]),
        "packet": packet(vm),
        "packetWithIv": packet_with(case, case["iv"]),
    }


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
