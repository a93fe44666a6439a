# SPDX-License-Identifier: MIT
# bash completion of guardfree: its options, then the program's own

_guardfree()
{
	local cur prev words cword i keys
	_init_completion -n = 2>/dev/null || {
		cur=${COMP_WORDS[COMP_CWORD]}
		prev=${COMP_WORDS[COMP_CWORD - 1]}
		words=("${COMP_WORDS[@]}")
		cword=$COMP_CWORD
	}
	# Behind the program everything is the program's.
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-o | -l | -n | --check) ((i++)) ;;
		-*) ;;
		*)
			if declare -F _command_offset >/dev/null; then
				_command_offset "$i"
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			fi
			return
			;;
		esac
	done
	case $prev in
	-o)
		case $cur in
		*=*) return ;;
		esac
		keys=$(guardfree --options 2>&1 | sed -n 's/^  \([a-z_]*\)=.*/\1=/p')
		compopt -o nospace
		mapfile -t COMPREPLY < <(compgen -W "$keys" -- "$cur")
		return
		;;
	-l)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-n) return ;;
	--check)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		return
		;;
	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W '-o -s -j -l -n -b -1 -k -h --options --check --library
		--version --help' -- "$cur") ;;
	*) mapfile -t COMPREPLY < <(compgen -c -- "$cur"; compgen -f -- "$cur") ;;
	esac
}
complete -F _guardfree guardfree
