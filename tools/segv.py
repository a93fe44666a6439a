# SPDX-License-Identifier: GPL-2.0
# A command for gdb: tells whether a SIGSEGV hit a guard, in a process that is stopped
# at it or in a core dump.
#
#   gdb -x segv.py -ex segv PROGRAM CORE
#
# A guard is in no list of mappings: the signal says that the access is not
# permitted (SEGV_ACCERR), the mapping, that it is. Of a live process, bit 58 of
# its pagemap is asked as well (Linux 6.15 and later, or 6.12 with guard pages).
import os
import re
import struct

import gdb

PM_GUARD_REGION = 1 << 58
CODES = {1: "SEGV_MAPERR", 2: "SEGV_ACCERR", 3: "SEGV_BNDERR", 4: "SEGV_PKUERR"}


def of_core(address):
    """Return the flags of the mapping at address in the core, or None."""
    # "[12]  0x7f..000->0x7f..000 at 0x0001d000: load12 ALLOC LOAD READONLY HAS_CONTENTS"
    for line in gdb.execute("maintenance info sections -all-objects", to_string=True).splitlines():
        m = re.search(r"(0x[0-9a-f]+)->(0x[0-9a-f]+) at 0x[0-9a-f]+: load\d+\w* (.*)", line)
        if m and int(m[1], 16) <= address < int(m[2], 16):
            return m[3]
    return None


def of_process(pid, address):
    """The protection of the mapping at address, and whether it is a guard (or None)."""
    guard = protection = None
    with open("/proc/%d/maps" % pid, encoding="utf-8", errors="replace") as maps:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if start <= address < end:
                protection = line.split()[1]
    try:
        with open("/proc/%d/pagemap" % pid, "rb") as pagemap:
            pagemap.seek(address // os.sysconf("SC_PAGESIZE") * 8)
            guard = bool(struct.unpack("Q", pagemap.read(8))[0] & PM_GUARD_REGION)
    except (OSError, struct.error):
        pass
    return protection, guard


class Segv(gdb.Command):
    """Print the address of a SIGSEGV, its mapping, and whether it may be a guard page."""

    def __init__(self):
        super().__init__("segv", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        info = gdb.parse_and_eval("$_siginfo")
        if int(info["si_signo"]) != 11:
            raise gdb.GdbError("the signal is not SIGSEGV")
        code = int(info["si_code"])
        address = int(info["_sifields"]["_sigfault"]["si_addr"])
        print("SIGSEGV, si_code %d (%s), si_addr 0x%x" % (code, CODES.get(code, "?"), address))

        pid = gdb.selected_inferior().pid
        if os.path.exists("/proc/%d/maps" % pid) and not self.is_core():
            protection, guard = of_process(pid, address)
            if protection is None:
                print("nothing is mapped there")
            elif guard:
                print("a guard page, in a mapping with %s" % protection)
            elif protection.startswith("---"):
                print("a mapping without access (PROT_NONE)")
            else:
                print("a mapping with %s" % protection)
            return

        flags = of_core(address)
        if flags is None:
            print("nothing is mapped there, or it is not in the core")
        elif code == 2 and "READONLY" not in flags:
            # Reading, writing: both are permitted by the mapping.
            print("a guard page: the mapping is writable, and the access was refused")
        elif code == 2:
            print("a mapping that is not writable: read-only, or PROT_NONE, or a guard page in one")
        elif code == 1:
            # As Linux 6.13 and later say it on x86 and others.
            print("a guard page: there is a mapping, and the signal says that there is none")
        else:
            print("a mapping: %s" % flags)

    @staticmethod
    def is_core():
        return "core" in gdb.execute("info target", to_string=True).lower().split("local exec file")[0]


Segv()
