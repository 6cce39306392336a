# shellcheck shell=bash
# What the scripts in this folder share. Source it with the repository's root as the working directory:
#
#   cd "$(dirname "$0")/.." && . .ci/lib.sh
#
# It defines $cache, $tmp (removed at the end) and the functions below. A script that has more to clean up than $tmp defines a function cleanup.

set -Eeuo pipefail
trap 'echo "*** $0: line $LINENO failed: $BASH_COMMAND" >&2' ERR

# Downloads are kept here between runs. Every script works as well when it is empty.
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/keepalive-rigs
mkdir -p "$cache"
tmp=$(mktemp -d -p /var/tmp)
export GOTMPDIR=$tmp # go runs test binaries from there

cleanup() { :; }
finish() {
	local status=$?
	set +e
	cleanup
	rm -rf --one-file-system "$tmp"
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
[ "$(id -u)" = 0 ] || die "$0 must run as root"

# shows PATTERN COMMAND...: runs COMMAND and fails unless its output, or what it reports, has a line that matches.
shows() {
	local pattern=$1
	shift
	"$@" 2>&1 | tee "$tmp/out"
	grep -qE "$pattern" "$tmp/out" || die "$*: no line matches $pattern"
}

# need PACKAGE...: installs the packages that are missing. The package lists are updated only if the installation fails.
need() {
	local missing=() p get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300)
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q ' installed$' || missing+=("$p")
	done
	[ "${#missing[@]}" = 0 ] && return
	say "apt-get install ${missing[*]}"
	get+=(install --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "${missing[@]}")
	"${get[@]}" </dev/null >/dev/null 2>&1 || { apt-get -qq update && "${get[@]}" </dev/null >/dev/null; } || die "cannot install ${missing[*]}"
}

# debian SUITE FOLDER PACKAGE...: unpacks packages of another Debian release, and all that they depend on, into FOLDER. Nothing is configured.
# This machine's own apt stays as it is; signatures and checksums are verified.
debian() {
	local suite=$1 folder=$2 apt=$tmp/apt-$1 find uri
	shift 2
	find=(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' 'Label: Debian')
	uri=$("${find[@]}" | head -n 1)
	[ -n "$uri" ] || { apt-get -qq update && uri=$("${find[@]}" | head -n 1); } # there is none before the first update
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${uri:?no Debian mirror is known} $suite main" >"$apt/sources.list"
	cat >"$apt/apt.conf" <<-EOF
		Dir::State "$apt";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Install-Recommends "0";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
	EOF
	{ APT_CONFIG=$apt/apt.conf apt-get -qq update && APT_CONFIG=$apt/apt.conf apt-get -qq -y --download-only install "$@"; } >/dev/null ||
		die "cannot download $* of Debian $suite from $uri"
	mkdir -p "$folder"
	# shellcheck disable=SC2016 # the inner shell expands them
	printf '%s\0' "$apt"/archives/*.deb | xargs -0 -n 1 -P 2 sh -c 'exec dpkg-deb -x "$1" "$0"' "$folder"
	cp "$apt"/archives/"${1%% *}"_*.deb "$folder/" # for its scripts
	rm -r "$apt"
}

# tests PACKAGE...: compiles the test binaries of packages, and $tmp/tests, a script that runs each of them in the package's folder.
tests() {
	local p n
	for p; do
		n=$tmp/$(basename "$PWD/$p").test
		CGO_ENABLED=0 nice go test -C "$p" -vet=off -c -o "$n" .
		echo "cd '$PWD/$p' && $n -test.v -test.short -test.timeout=5m && echo 'ok   $p' || { echo '*** FAIL $p'; failed=1; }"
	done >"$tmp/tests"
	echo "exit \${failed-0}" >>"$tmp/tests"
}

# summary LOG: of the output of go test -v, what failed, and how many tests were skipped, for which reasons. Fails if so few tests passed that
# something must be wrong with the rig.
summary() {
	local passed
	passed=$(grep -c -e '--- PASS' "$1" || :)
	grep -E '^(ok|FAIL|\*\*\*) ' "$1" || :
	say "$passed tests and subtests passed, $(grep -c -e '--- FAIL' "$1" || :) failed, $(grep -c -e '--- SKIP' "$1" || :) skipped, $(grep -c 'does not count: the control timer' "$1" || :) repeated"
	{ grep -o 'not supported here: .*' "$1" || :; } | cut -c 1-160 | sed -E 's/[0-9.:]+:[0-9]+/ADDR/g' | sort | uniq -c | sort -rn
	[ "$passed" -ge 150 ] || { echo "*** only $passed tests passed" && return 1; }
}

# quietly COMMAND...: runs COMMAND, a go test -v, and shows its summary, or everything if it fails.
quietly() {
	local status=0
	"$@" >"$tmp/quietly" 2>&1 </dev/null || status=$?
	[ "$status" = 0 ] || cat "$tmp/quietly"
	summary "$tmp/quietly" || status=1
	return "$status"
}
