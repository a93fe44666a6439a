# SPDX-License-Identifier: GPL-2.0
# With gcov.config: the files of x86-64 that the series changes; tests/coverage fails if
# one is missing. kbuild looks variables up by the name of the object, which files in
# other directories share, such as arch/x86/boot/memory.c, which cannot be profiled. So
# each value depends on the directory that kbuild is in.
GCOV_PROFILE_fault.o=$(filter arch/x86/mm,$(obj))
GCOV_PROFILE_guard.o=$(filter mm,$(obj))
GCOV_PROFILE_gup.o=$(filter mm,$(obj))
GCOV_PROFILE_huge_memory.o=$(filter mm,$(obj))
GCOV_PROFILE_khugepaged.o=$(filter mm,$(obj))
GCOV_PROFILE_madvise.o=$(filter mm,$(obj))
GCOV_PROFILE_memory.o=$(filter mm,$(obj))
GCOV_PROFILE_mincore.o=$(filter mm,$(obj))
GCOV_PROFILE_mlock.o=$(filter mm,$(obj))
GCOV_PROFILE_mmap.o=$(filter mm,$(obj))
GCOV_PROFILE_mprotect.o=$(filter mm,$(obj))
GCOV_PROFILE_mremap.o=$(filter mm,$(obj))
GCOV_PROFILE_mseal.o=$(filter mm,$(obj))
GCOV_PROFILE_pagewalk.o=$(filter mm,$(obj))
GCOV_PROFILE_task_mmu.o=$(filter fs/proc,$(obj))
GCOV_PROFILE_uprobes.o=$(filter kernel/events,$(obj))
GCOV_PROFILE_userfaultfd.o=$(filter fs,$(obj))
GCOV_PROFILE_vma.o=$(filter mm,$(obj))
GCOV_PROFILE_vmstat.o=$(filter mm,$(obj))
