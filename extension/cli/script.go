package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// imported is a file that the scenarios import, relative to their folder.
const imported = "../js/config.js"

// ScriptNote explains why k6 will not find the imports of the script that it is about to read; "" if it knows of no obstacle. k6's own error
// only says that a file does not exist.
func ScriptNote(args []string, stdin *os.File) string {
	if !slices.ContainsFunc(args, func(arg string) bool { return arg == "run" || arg == "inspect" || arg == "archive" }) {
		return ""
	}
	for _, arg := range args[1:] {
		if arg == "-" && importsOurs(stdin) {
			return "A script from standard input has no folder, so that k6 does not find what it imports: give k6 its path."
		}
		if script, isLost := lostBehindLink(arg); isLost {
			return fmt.Sprintf("%s is a symbolic link, and k6 looks beside the link for what the script imports: run %s.", arg, script)
		}
	}
	return ""
}

// lostBehindLink returns the target of a symbolic link, and reports whether the imports are beside the target and not beside the link.
func lostBehindLink(path string) (target string, isLost bool) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return "", false
	}
	target, err = filepath.EvalSymlinks(path)
	if err != nil {
		return "", false
	}
	return target, !hasImports(path) && hasImports(target)
}

func hasImports(script string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(script), imported))
	return err == nil
}

// importsOurs reports whether a file redirected to standard input is a script that imports from ../js. It consumes nothing of the input.
func importsOurs(stdin *os.File) bool {
	const most = 1 << 20
	info, err := stdin.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	text, err := io.ReadAll(io.NewSectionReader(stdin, 0, most))
	return err == nil && bytes.Contains(text, []byte("'../js/"))
}
