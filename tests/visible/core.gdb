# SPDX-License-Identifier: GPL-2.0
# Has gdb print the SIGSEGV in a core dump and the memory around $page, the page that was
# hit ($size bytes); for tests/visible/guest.
printf "si_signo %d\n", $_siginfo.si_signo
printf "si_code %d\n", $_siginfo.si_code
printf "si_addr %lx\n", $_siginfo._sifields._sigfault.si_addr
printf "pc %lx\n", $pc
info symbol $pc
printf "page before %d\n", *($page - 1)
printf "page after %d\n", *($page + $size)
segv
# Last, because gdb ends if the page is not in the core.
printf "page itself %d\n", *$page
