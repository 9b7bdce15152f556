# Shared by up, down, restart-apiserver and coredns-up: processes with pid
# SPDX-License-Identifier: Apache-2.0
# files, in a network namespace or not. Sourced, never run.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034
bin=$(cd "$here/../.." && pwd)/build/cluster

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# in_netns NS CMD... runs CMD there; an empty NS is where we are. nsenter execs
# the command, so that $! is its pid, and unlike `ip netns exec` it leaves the
# mounts alone.
in_netns() {
	local ns=$1
	shift
	if [[ -n $ns ]]; then
		nsenter --net="/run/netns/$ns" -- "$@"
	else
		"$@"
	fi
}

# The time a process started at tells it from a later one with the same pid.
start_time() {
	local s f
	s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# the program's name may hold blanks; fields count from behind it
	read -ra f <<<"${s##*) }"
	# A zombie has ended, whoever is late to collect it, unless other threads
	# of it are still on their way out: they hold its sockets.
	[[ ${f[0]} != Z || ${f[17]} -gt 1 ]] && echo "${f[19]}"
}

alive() { # DIR NAME
	local pid
	[[ -f $1/$2.pid && -f $1/.$2.start ]] || return 1
	pid=$(<"$1/$2.pid")
	[[ $(start_time "$pid") == "$(<"$1/.$2.start")" ]]
}

# launch DIR NAME: runs what DIR/NAME.cmd says (netns, a line of VAR=VALUE for
# the environment, then one argument a line) and writes DIR/NAME.pid and .log.
launch() {
	local dir=$1 name=$2 words pid
	mapfile -t words <"$dir/$name.cmd"
	local ns=${words[0]} cmd=(env "${words[@]:1}")
	if [[ -n $ns ]]; then
		cmd=(nsenter --net="/run/netns/$ns" -- "${cmd[@]}")
	fi
	# A session of its own: the test's Ctrl-C and the end of its terminal are
	# not for this process. Our descriptors are not for it either: a caller who
	# reads our output through a pipe would wait for as long as it lives.
	setsid "${cmd[@]}" >>"$dir/$name.log" 2>&1 </dev/null 9>&- &
	pid=$!
	echo "$pid" >"$dir/$name.pid"
	start_time "$pid" >"$dir/.$name.start" || die "$name did not start, see $dir/$name.log"
}

# halt DIR NAME [SIGNAL] [SECONDS]: stops it if it is ours, and waits.
halt() {
	local dir=$1 name=$2 sig=${3:-TERM} limit=${4:-8} pid i
	if alive "$dir" "$name"; then
		pid=$(<"$dir/$name.pid")
		kill -"$sig" "$pid" 2>/dev/null || true
		for ((i = 0; i < limit * 50; i++)); do
			alive "$dir" "$name" || break
			sleep 0.02
		done
		if alive "$dir" "$name"; then
			kill -KILL "$pid" 2>/dev/null || true
			while alive "$dir" "$name"; do sleep 0.02; done
		fi
	fi
	rm -f "$dir/$name.pid" "$dir/.$name.start"
}

# wait_for DIR NAME SECONDS CMD...: until CMD succeeds; gives up at once when
# the process is gone.
wait_for() {
	local dir=$1 name=$2 limit=$3 end=$((SECONDS + $3))
	shift 3
	until "$@" >/dev/null 2>&1; do
		if ! alive "$dir" "$name"; then
			tail -n 20 "$dir/$name.log" >&2
			die "$name has ended, see $dir/$name.log"
		fi
		if ((SECONDS > end)); then
			tail -n 20 "$dir/$name.log" >&2
			die "$name is not ready after $limit s, see $dir/$name.log"
		fi
		sleep 0.05
	done
}

# Ready means: it says so, and what it makes at its start is there.
apiserver_ready() { # DIR
	local dir=$1 p KBC_NETNS KBC_SERVER
	# shellcheck disable=SC1091
	. "$dir/env"
	for p in readyz api/v1/namespaces/default/services/kubernetes; do
		in_netns "$KBC_NETNS" curl -sf --noproxy '*' --max-time 2 --cacert "$dir/ca.crt" \
			--cert "$dir/admin.crt" --key "$dir/admin.key" -o /dev/null "$KBC_SERVER/$p" || return 1
	done
}

# etcd's own JSON gateway: no etcdctl needed.
etcd_post() { # DIR PATH JSON
	local KBC_NETNS KBC_ETCD
	# shellcheck disable=SC1091
	. "$1/env"
	in_netns "$KBC_NETNS" curl -sf --noproxy '*' --max-time 30 -d "$3" "$KBC_ETCD/$2"
}

# compact_etcd DIR: forgets all history, so that lists and watches from older
# resource versions are answered 410 Gone.
compact_etcd() {
	local rev
	rev=$(etcd_post "$1" v3/kv/range '{"key":"AA==","limit":1}' |
		sed -n 's/.*"revision":"\([0-9]*\)".*/\1/p')
	[[ -n $rev ]] || die "etcd does not tell its revision"
	etcd_post "$1" v3/kv/compaction "{\"revision\":\"$rev\",\"physical\":true}" >/dev/null ||
		die "etcd does not compact at revision $rev"
	echo "etcd compacted at revision $rev"
}
