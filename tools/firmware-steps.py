#!/usr/bin/env python3
"""Counts the instructions and the stack that sealing one packet takes on a Cortex-M4F, by emulation.

    firmware-steps.py ELF...        programs of benches/firmware (tools/firmware-size.sh builds them)

Needs the package `unicorn` of PyPI. Instructions are not cycles: a Cortex-M4 takes one to two cycles
for each of these.
"""

import struct
import sys

from unicorn import UC_ARCH_ARM, UC_HOOK_CODE, UC_MODE_MCLASS, UC_MODE_THUMB, Uc
from unicorn.arm_const import UC_ARM_REG_SP

STACK, STACK_LEN = 0x2000_0000, 0x10000
# Instructions after which a loop counts as the end.
WINDOW = 1 << 14


def load(machine, elf):
    """Maps the loadable segments of a 32-bit little-endian ELF file; returns its entry."""
    entry, heads_at = struct.unpack_from("<II", elf, 24)
    head_len, heads = struct.unpack_from("<HH", elf, 42)
    pages = set()
    for number in range(heads):
        kind, at, address, _, file_len, memory_len = struct.unpack_from(
            "<6I", elf, heads_at + number * head_len
        )
        if kind != 1 or not memory_len:
            continue
        for page in range(address >> 12, (address + memory_len + 0xFFF) >> 12):
            if page not in pages:
                machine.mem_map(page << 12, 0x1000)
                pages.add(page)
        machine.mem_write(address, elf[at : at + file_len])
    return entry


def seal(path):
    """Instructions up to the endless loop, and the bytes of stack below the entry."""
    with open(path, "rb") as file:
        elf = file.read()
    machine = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    entry = load(machine, elf)
    machine.mem_map(STACK, STACK_LEN)
    machine.reg_write(UC_ARM_REG_SP, STACK + STACK_LEN)
    count, lowest, last, window = 0, STACK + STACK_LEN, {}, set()

    def step(machine, address, size, _):
        nonlocal count, lowest
        count += 1
        lowest = min(lowest, machine.reg_read(UC_ARM_REG_SP))
        last[address] = count
        window.add(address)
        # The program ends in a loop of a few instructions; no other loop is as long.
        if count % WINDOW == 0:
            if len(window) <= 8:
                machine.emu_stop()
            else:
                window.clear()

    machine.hook_add(UC_HOOK_CODE, step)
    machine.emu_start(entry | 1, 0)
    before_loop = max(at for address, at in last.items() if address not in window)
    return before_loop, STACK + STACK_LEN - lowest


for path in sys.argv[1:]:
    instructions, stack_bytes = seal(path)
    print(f"{path}: {instructions} instructions, {stack_bytes} bytes of stack")
