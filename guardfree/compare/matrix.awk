# SPDX-License-Identifier: MIT
# What each run of the matrix says. Reads the table of cases, then the log.

BEGIN {
	FS = OFS = "\t"
	# The lines that the sources mark, by case.
	n = split(lines, files, " ")
	for (i = 1; i <= n; i++) {
		name = ""
		for (no = 1; (getline text < (dir "/" files[i])) > 0; no++) {
			if (match(text, /^\/\* [a-z0-9-]+: /))
				name = substr(text, 4, RLENGTH - 5)
			else if (text ~ /\/\* .*BUG.*\*\//)
				bug[name] = bug[name] " " files[i] ":" no
			if (text ~ /\/\* .*FREED.*\*\//)
				freed[name] = freed[name] " " files[i] ":" no
		}
		close(dir "/" files[i])
	}
	# How a tool says that it found something.
	says["guardfree"] = says["guardfree-static"] = says["asan"] = "ERROR: AddressSanitizer: "
	says["efence"] = "ElectricFence (Aborting|Exiting)"
	says["duma"] = "DUMA Aborting"
	says["libdislocator"] = "^\\*\\*\\* \\[AFL\\]"
	says["valgrind"] = "^==[0-9]+== (Invalid |Mismatched |Syscall param |Jump to the invalid|Source and destination|Process terminating|Argument )"
	says["glibc"] = "(free|malloc|realloc|munmap_chunk)\\(\\)[:!]|double free|corrupted|\\*\\*\\* "
}

FNR == NR {
	order[++cases] = $1
	class[$1] = $2; kind[$1] = $3; access[$1] = $4; where[$1] = $5; offset[$1] = $6
	size[$1] = $7; at[$1] = $9; freed_at[$1] = $10; alloc_at[$1] = $11; when[$1] = $12
	next
}

/^=== / {
	split($0, head, " ")
	tool = head[2]; name = head[3]; which = head[4]
	if (!(tool in known)) { known[tool] = 1; tools[++ntools] = tool }
	run++
	report = past = end = efault = text = 0
	section = "none"
	said = ""
	delete frames
	next
}

/^--- [0-9]+ [0-9.]+ [0-9.]+ [0-9]+$/ {
	split($0, tail, " ")
	verdict[tool, name, which] = judge(tail[2])
	if (tool ~ /^guardfree/ && which == "bad")
		wrong[tool, name] = check()
	next
}

# What the program itself says
$0 == "past" { past = past ? past : FNR; next }
$0 == "end" { end = 1; next }
$0 == "EFAULT" { efault = 1; next }
$0 == "short" || $0 == "" { next }

{ text++ }
$0 ~ says[tool] && !report { report = FNR }
tool ~ /^guardfree/ {
	line = $0
	gsub(/\033\[[0-9;]*m/, "", line)
	if (line ~ /ERROR: AddressSanitizer: /) section = "access"
	else if (line ~ /is located /) { section = "none"; located = located "\n" line }
	else if (line ~ /^freed by thread/) section = "freed"
	else if (line ~ /allocated by thread/) section = "alloc"
	else if (line ~ /^SUMMARY/) section = "none"
	if (line ~ /^ +#[0-9]+ /) frames[section] = frames[section] "\n" line
	else said = said "\n" line
}

function judge(status) {
	if (which == "good") {
		if (status == 124 || status == 137) return "broken"
		if (status != 0 || report || !end) return "false"
		# guardfree has nothing to say here; the others have banners.
		if (tool ~ /^guardfree/ && text) return "false"
		return "silent"
	}
	if (report) return past && past < report ? "late" : "report"
	if (status == 124 || status == 137) return "broken"
	if (status > 128) return past ? "late" : "signal"
	if (efault) return "EFAULT"
	if (status != 0) return "broken"
	return "missed"
}

# Does any frame of the section name the function, and one of the lines?
function framed(section, function_, places,	list, n, i, j, f, m) {
	n = split(frames[section], list, "\n")
	m = split(places, f, " ")
	for (i = 1; i <= n; i++) {
		if (index(list[i], function_) == 0) continue
		if (substr(list[i], index(list[i], function_) + length(function_), 1) ~ /[A-Za-z0-9_]/) continue
		if (!m) return 1
		for (j = 1; j <= m; j++)
			if ((list[i] ":") ~ ("/" f[j] "[^0-9]")) return 1
	}
	return 0
}

# What of the report is not as the case wants it
function check(	bad, want, place) {
	if (verdict[tool, name, which] !~ /report|late/) return "no-report"
	bad = ""
	if (verdict[tool, name, which] != (when[name] == "free" ? "late" : "report")) bad = bad ",when"
	if (kind[name] == "use-after-free") want = "heap-use-after-free"
	else if (kind[name] == "overflow") want = "heap-buffer-overflow"
	else if (kind[name] == "underflow") want = "heap-buffer-(over|under)flow"
	else if (kind[name] == "double-free") want = "attempting double-free"
	else if (kind[name] == "bad-free") want = "attempting free on address which was not malloc|bad-free"
	else want = "alloc-dealloc-mismatch"
	if (said !~ want) bad = bad ",kind"
	if (access[name] == "R" && said !~ /\nREAD/) bad = bad ",access"
	if (access[name] == "W" && said !~ /\nWRITE/) bad = bad ",access"
	if (where[name] != "-") {
		if (where[name] == "inside") place = "inside of"
		else if (where[name] == "after") place = "(after|to the right of)"
		else place = "(before|to the left of)"
		want = "is located " (offset[name] < 0 ? "[0-9]+" : offset[name]) " bytes? " place " " \
			(size[name] < 0 ? "[0-9]+" : size[name]) "-byte region"
		if (said !~ want) bad = bad ",where"
	}
	if (!stacks) return bad == "" ? "-" : substr(bad, 2)
	if (!framed("access", at[name], bug[name])) bad = bad ",stack"
	if (kind[name] ~ /use-after-free|double-free/ && where[name] != "-") {
		if (freed_at[name] != "-" && !framed("freed", freed_at[name], freed[name]))
			bad = bad ",freed-stack"
	}
	if (where[name] != "-" && !framed("alloc", alloc_at[name], "")) bad = bad ",alloc-stack"
	return bad == "" ? "-" : substr(bad, 2)
}

END {
	print "case", "class", "tool", "bad", "good", "report"
	for (t = 1; t <= ntools; t++) {
		tool = tools[t]
		for (c = 1; c <= cases; c++) {
			name = order[c]
			w = tool ~ /^guardfree/ ? wrong[tool, name] : "-"
			print name, class[name], tool, verdict[tool, name, "bad"], verdict[tool, name, "good"], w
			if (tool ~ /^guardfree/ && (w != "-" || verdict[tool, name, "good"] != "silent"))
				failed = 1
		}
	}
	# A run that was cut short has judged nothing.
	if (run != 2 * cases * ntools || !run) failed = 1
	exit failed
}
