# SPDX-License-Identifier: BSD-3-Clause
#
# declared.awk - the names of functions and variables that pvio's headers
# declare for others to link with
#
# Reads preprocessed C with line markers; prints names that come from files
# under one of the directories in `roots` (separated by ":").  Static functions
# and types are none.

function flush_statement(   name)
{
	gsub(/__attribute__ *\(\([^)]*(\([^)]*\))*[^)]*\)\)/, " ", text)
	if (text !~ /(^|[ \t])(static|typedef)[ \t]/) {
		if (match(text, /pvio_[a-z0-9_]+[ \t]*\(/)) {
			name = substr(text, RSTART, RLENGTH)
			sub(/[ \t]*\($/, "", name)
			print name
		} else if (text ~ /(^|[ \t])extern[ \t]/ &&
			   match(text, /\(\*pvio_[a-z0-9_]+\)/)) {
			print substr(text, RSTART + 2, RLENGTH - 3)
		} else if (text ~ /(^|[ \t])extern[ \t]/ &&
			   match(text, /pvio_[a-z0-9_]+(\[[^]]*\])*[ \t]*$/)) {
			name = substr(text, RSTART, RLENGTH)
			sub(/[^a-z0-9_].*/, "", name)
			print name
		}
	}
	text = ""
}

BEGIN {
	nr_roots = split(roots, root, ":")
}

/^# [0-9]+ "/ {
	file = $3
	gsub(/"/, "", file)
	ours = 0
	for (i = 1; i <= nr_roots; i++)
		if (index(file, root[i]) == 1)
			ours = 1
	next
}

/^#/ || !ours {
	next
}

{
	nr = length($0)
	for (i = 1; i <= nr; i++) {
		c = substr($0, i, 1)
		if (c == "{") {
			# What a body follows is a definition: ended by it.
			if (depth++ == 0)
				is_function = text ~ /\)[ \t]*$/
		} else if (c == "}") {
			if (--depth == 0 && is_function)
				text = ""
		} else if (depth == 0) {
			if (c == ";")
				flush_statement()
			else
				text = text c
		}
	}
	text = text " "
}
