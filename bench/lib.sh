# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the benchmarks that are scripts: a lab, an API server in its node's namespace,
# medians, and rows that bench/run collects. Sourced, never run.

# shellcheck source=scripts/lab
. "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/../scripts/lab"
root=$lab_root
KBC=$root/build/cluster/kbcluster
cluster='' # directory of the API server

bench_die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

bench_clean_up() {
	[[ -z $cluster || ! -d $cluster ]] || "$root/tests/cluster/down" --dir "$cluster" --wipe
	lab_end
}

# bench_start LAB-OPTION...: root, binaries, a lab, and a trap that removes it.
bench_start() {
	((EUID == 0)) || bench_die "needs root"
	[[ -x $LAB_BIN/kbdnsd ]] || bench_die "$LAB_BIN/kbdnsd is missing: run make first"
	trap bench_clean_up EXIT
	trap 'exit 130' INT TERM
	lab_up "$@" || bench_die "no lab"
}

# bench_apiserver UP-OPTION...: an API server inside the node's namespace, on loopback. Sets
# etcd_url.
bench_apiserver() {
	cluster=$(mktemp -d /tmp/kbdns-bench.XXXXXX) || bench_die "no directory for the API server"
	"$root/tests/cluster/up" --dir "$cluster" --netns "$(lab_ns node)" "$@" >/dev/null ||
		bench_die "no API server"
	# shellcheck disable=SC2034
	etcd_url=$(sed -n "s/^KBC_ETCD='\(.*\)'/\1/p" "$cluster/env")
}

# bench_api_get PATH ACCEPT FILE: what the API server sends to kbdns for that. The name is our own
# because the server indents what it sends to curl.
bench_api_get() {
	# shellcheck disable=SC2016
	lab_in node bash -c '. "$1/env" && curl -sSf -A kbdns-bench --noproxy "*" --cacert "$KBC_CA" \
		-H "Authorization: Bearer $(<"$KBC_TOKEN_FILE")" -H "Accept: $3" -o "$4" "$KBC_SERVER/$2"' \
		_ "$cluster" "$1" "$2" "$3" || bench_die "$1: not read"
}

# kbc COMMAND...: kbcluster as administrator, in the node's namespace.
kbc() { lab_in node env KUBECONFIG="$cluster/admin.kubeconfig" "$KBC" "$@"; }

# median NUMBER...
median() {
	printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 }
		END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'
}

calc() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }

# field JSON PATH
field() { jq -r "$2" <<<"$1"; }

# row WHAT VALUE UNIT [OP LIMIT]: prints a result; with a target, whether it is met.
row() {
	local verdict=''
	if (($# > 3)); then
		verdict="target $4 $5: missed"
		awk "BEGIN { exit !($2 $4 $5) }" && verdict="target $4 $5: met"
	fi
	printf '%-52s %12s %-8s %s\n' "$1" "$2" "$3" "$verdict"
	[[ -z ${KB_BENCH_ROWS-} ]] || printf '%s\t%s\t%s\t%s\t%s\n' "${0##*/}" "$1" "$2" "$3" "$verdict" >>"$KB_BENCH_ROWS"
}

# cpu_seconds PID: user and system time of a process so far.
cpu_seconds() {
	awk '{ sub(/.*\) /, ""); print ($12 + $13) / 100 }' "/proc/$1/stat"
}

# busy_seconds: of all CPUs so far.
busy_seconds() { awk '/^cpu / { print ($2 + $3 + $4 + $7 + $8) / 100 }' /proc/stat; }
