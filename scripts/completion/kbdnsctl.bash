# SPDX-License-Identifier: Apache-2.0
# bash completion for kbdnsctl: install as
# /usr/share/bash-completion/completions/kbdnsctl

_kbdnsctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local commands="status stats lookup dump workers tune trace bypass check-corefile doctor uninstall
		version help"
	local common="--socket --json --help --version"
	local i word cmd="" socket=()

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-s | --socket)
			socket=(-s "${COMP_WORDS[i + 1]}")
			((i++))
			;;
		-*) ;;
		*)
			[[ -z $cmd ]] && cmd=$word
			;;
		esac
	done
	case $prev in
	-s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--bpffs)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--for)
		mapfile -t COMPREPLY < <(compgen -W "1m 10m 1h 1d" -- "$cur")
		return
		;;
	esac
	case $cmd in
	"") word="$commands $common" ;;
	stats) word="answered_ left_ dropped_ truncated --watch --all $common" ;;
	lookup) word="A AAAA SRV PTR CNAME TXT NS SOA $common" ;;
	tune)
		# From the daemon that runs, if one does.
		word="$(kbdnsctl "${socket[@]}" --json tune 2>/dev/null |
			grep -o '"key":"[^"]*"' | cut -d '"' -f 4) $common"
		;;
	check-corefile)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	doctor) word="--bpffs --dns $common" ;;
	trace) word="name= type= rcode= client= engine= sample= --for $common" ;;
	workers)
		case $prev in
		drain | resume | stop) word="all" ;;
		*) word="drain resume stop $common" ;;
		esac
		;;
	uninstall) word="--bpffs $common" ;;
	bypass) word="on off --for $common" ;;
	*) word=$common ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}
complete -F _kbdnsctl kbdnsctl
