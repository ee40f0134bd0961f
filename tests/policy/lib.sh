# SPDX-License-Identifier: BSD-3-Clause
#
# lib.sh - for the scripts of tests/policy
set -eu
LC_ALL=C
export LC_ALL
build=$(pwd)
cd "${srcdir:?the source directory, as make check sets it}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
failed=0

# fail TEXT...: say what is wrong, and go on.
fail()
{
	echo "$*"
	failed=1
}

# need PROGRAM: without it there is nothing to test.
need()
{
	command -v "${1%% *}" >/dev/null 2>&1 || {
		echo "SKIP: there is no $1 here"
		exit 77
	}
}

# sources: every C file of the product, one a line.
sources()
{
	find core models backends transports guest include tools examples \
		tests -name '*.[ch]' | sort
}

# no_match DIR... -- PATTERN TEXT: fail for each line that matches.
no_match()
{
	where=
	while [ "$1" != -- ]; do
		where="$where $1"
		shift
	done
	# shellcheck disable=SC2086
	found=$(grep -rnE "$2" $where --include='*.[ch]' || true)
	if [ -n "$found" ]; then
		fail "$3:"
		echo "$found"
	fi
}
