# SPDX-License-Identifier: GPL-2.0
# With gcov.config: the files that the series touches and that x86-64 is built from;
# tests/coverage says if one is missing. kbuild asks by the name of the object, which
# is not one file's alone: arch/x86/boot/memory.c cannot be profiled. So the directory
# is looked at, when kbuild is in it.
GCOV_PROFILE_fault.o=$(filter arch/x86/mm,$(obj))
GCOV_PROFILE_task_mmu.o=$(filter fs/proc,$(obj))
GCOV_PROFILE_gup.o=$(filter mm,$(obj))
GCOV_PROFILE_huge_memory.o=$(filter mm,$(obj))
GCOV_PROFILE_hugetlb.o=$(filter mm,$(obj))
GCOV_PROFILE_khugepaged.o=$(filter mm,$(obj))
GCOV_PROFILE_madvise.o=$(filter mm,$(obj))
GCOV_PROFILE_memory.o=$(filter mm,$(obj))
GCOV_PROFILE_mincore.o=$(filter mm,$(obj))
GCOV_PROFILE_mprotect.o=$(filter mm,$(obj))
GCOV_PROFILE_mseal.o=$(filter mm,$(obj))
GCOV_PROFILE_pagewalk.o=$(filter mm,$(obj))
GCOV_PROFILE_vmstat.o=$(filter mm,$(obj))
