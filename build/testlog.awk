# Reads the output of `go test -v`. Prints the closing line of each package and, for a failed one, the output of its failing
# tests. Writes a line for each test, "PASS|FAIL|SKIP name (package): reason", to the file named by the variable `results`.

function forget() {
    split("", names); split("", verdict); split("", counted); split("", said); split("", reason)
    seen = failures = 0
    current = ""
}

# A package fails because of a test that failed, one that never ended, or a data race in the output of another.
function blamed(name) {
    if (verdict[name] == "unfinished") return said[name] != "" || name == current
    return verdict[name] == "FAIL" || said[name] ~ /DATA RACE/
}

# The output of a test follows a line that names it. Output before the first such line belongs to the package: test "".
/^=== (RUN|NAME|CONT) / {
    current = $3
    if (!(current in verdict)) { names[++seen] = current; verdict[current] = "unfinished" }
    next
}
/^=== PAUSE / { next }

# All tests have ended: the rest belongs to the package, such as the goroutines that goleak found.
/^(PASS|FAIL)$/ { current = ""; next }

/^ *--- (PASS|FAIL|SKIP): / {
    verdict[$3] = substr($2, 1, 4)
    # The parent's result includes a subtest's pass or failure, but not that it was skipped.
    if (/^-/ || $2 == "SKIP:") counted[$3]
    if ($2 == "FAIL:") failures++
    next
}

# go's closing lines: "ok  <tab>package<tab>time", "FAIL<tab>package<tab>time", "?   <tab>package<tab>[no test files]".
/^(ok  |FAIL|\?   )\t/ {
    split($0, closing, "\t")
    package = closing[2]
    for (i = 1; i <= seen; i++) {
        name = names[i]
        why = verdict[name] == "SKIP" ? ": " reason[name] : ""
        if (name in counted) print verdict[name] " " name " (" package ")" why >> results
        if ($1 == "FAIL" && blamed(name)) printf "--- %s: %s\n%s", verdict[name], name, said[name]
    }
    if ($1 == "FAIL" && !failures) print "FAIL all of it (" package ")" >> results
    if ($1 == "FAIL") printf "%s", said[""]
    print
    fflush()
    forget()
    next
}

{ said[current] = said[current] $0 "\n" }
/^ +[^ ]+_test\.go:[0-9]+: / { sub(/^ +[^ ]+ /, ""); reason[current] = $0 }

END { printf "%s", said[""] }
