# SPDX-License-Identifier: GPL-2.0
# 6.12.117's arch/alpha/mm/fault.c calls a function that nothing declares or defines.
CFLAGS_fault.o=-D'show_signal_msg(regs,addr,sig,text)=do{}while(0)'
