package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// imported is what the scenarios import, seen from their folder.
const imported = "../js/config.js"

// ScriptNote says of a script that k6 is about to read why it will not find what the script imports; "" where nothing is known to
// stand in the way. k6 itself says only that a file is not there.
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

// lostBehindLink returns where a symbolic link leads, if what the scenarios import is there and not beside the link.
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

// importsOurs looks into a file that is redirected to standard input, without taking anything from it.
func importsOurs(stdin *os.File) bool {
	const most = 1 << 20
	info, err := stdin.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	text, err := io.ReadAll(io.NewSectionReader(stdin, 0, most))
	return err == nil && bytes.Contains(text, []byte("'../js/"))
}
