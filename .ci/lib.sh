# shellcheck shell=bash
# What the rigs share. Source it with the repository's root as the working directory:
#
#   cd "$(dirname "$0")/.." && . .ci/lib.sh
#
# It gives: $cache, $tmp (removed at the end), say, die, as_root, need, suite, quietly, summary.
# A script that has more to clean up than $tmp defines a function named cleanup.

set -Eeuo pipefail
trap 'echo "*** $0: line $LINENO failed: $BASH_COMMAND" >&2' ERR

# Downloads and roots live here between runs. Every script works just as well when it is empty.
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/keepalive-rigs
mkdir -p "$cache"

# Go runs test binaries from its own temporary folder. Below $tmp a rig knows where that is and can show it to a chroot.
tmp=$(mktemp -d)
export GOTMPDIR=$tmp

cleanup() { :; }
finish() {
	local status=$?
	set +e
	cleanup
	rm -rf "$tmp" # no mount of this mount namespace is ever below it
	[ "$status" = 0 ] || echo "*** $0 $args: FAILED with status $status" >&2
	exit "$status"
}
args=$*
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { echo "--- $*"; }
die() {
	echo "*** $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt COMMAND...: apt-get on this machine, waiting for whoever else holds its lock.
apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}

# need PACKAGE...: installs what is missing. The package lists are brought up to date only when the ones at hand do not serve.
need() {
	local missing=() p
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q ' installed$' || missing+=("$p")
	done
	[ "${#missing[@]}" = 0 ] && return
	say "apt-get install ${missing[*]}"
	local install=(install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "${missing[@]}")
	apt "${install[@]}" 2>/dev/null || { apt update && apt "${install[@]}"; } || die "cannot install ${missing[*]}"
}

# mirror: the address of the Debian mirror that this machine uses. apt tells none before its first update.
mirror() {
	local find=(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' 'Label: Debian') uri
	uri=$("${find[@]}" | head -n 1)
	[ -n "$uri" ] || { apt update && uri=$("${find[@]}" | head -n 1); }
	[ -n "$uri" ] || die "apt-get indextargets names no Debian mirror"
	echo "$uri"
}

# suite SUITE ARCH FOLDER: makes FOLDER/apt.conf, with which APT_CONFIG=FOLDER/apt.conf apt-get sees SUITE's packages for ARCH, as if
# nothing were installed. This machine's own apt stays as it is, and signatures and checksums are verified as ever.
suite() {
	local dir=$3 uri
	uri=$(mirror)
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >"$dir/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $1 main" >"$dir/sources.list"
	cat >"$dir/apt.conf" <<-EOF
		Dir::State "$dir";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Architecture "$2";
		APT::Architectures "$2";
		APT::Install-Recommends "0";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
	EOF
	APT_CONFIG=$dir/apt.conf apt-get -qq update || die "cannot read the package lists of Debian $1 ($2) from $uri"
}

# summary LOG: of the output of go test -v, what failed, and how many tests were skipped, for which reasons. Fails when so few have passed that
# something must be wrong with the rig.
summary() {
	local passed
	passed=$(grep -c -e '--- PASS' "$1" || :)
	grep -E '^(ok|FAIL|\*\*\*) ' "$1" || :
	say "$passed tests and subtests passed, $(grep -c -e '--- FAIL' "$1" || :) failed, $(grep -c -e '--- SKIP' "$1" || :) skipped"
	{ grep -o 'not supported here: .*' "$1" || :; } | cut -c 1-160 | sed -E 's/[0-9.:]+:[0-9]+/ADDR/g' | sort | uniq -c | sort -rn
	[ "$passed" -ge 150 ] || { echo "*** only $passed tests passed" && return 1; }
}

# quietly COMMAND...: runs COMMAND, a go test -v, and shows its summary, or everything when it fails.
quietly() {
	local status=0
	"$@" >"$tmp/quietly" 2>&1 || status=$?
	[ "$status" = 0 ] || cat "$tmp/quietly"
	summary "$tmp/quietly" || status=1
	return "$status"
}
