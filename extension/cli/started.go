package cli

import (
	"path/filepath"
	"regexp"
	"strings"
)

// started returns the command with which this binary was started, quoted for a shell in this folder: "./k6", or "k6" in the image.
func started(args []string) string {
	if len(args) == 0 || args[0] == "" {
		return "k6"
	}
	return quoted(args[0])
}

// startedAnywhere returns the same, with an absolute path, so that it works in any folder.
func startedAnywhere(args []string) string {
	if len(args) == 0 || !strings.ContainsRune(args[0], filepath.Separator) {
		return started(args)
	}
	path, err := filepath.Abs(args[0])
	if err != nil {
		return started(args)
	}
	return quoted(path)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./\\~-]+$`)

// quoted returns a word quoted for a shell, if it needs quotes.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
