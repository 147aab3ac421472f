// Package docs_test checks that what code, tests and pages refer to is there.
package docs_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the folder of the module.
const root = ".."

var (
	textFile = regexp.MustCompile(`\.(go|js|mjs|ts|md|yml|sh)$`)
	// page matches docs/NAME.md with the section that may follow: `docs/a.md, Name`, `docs/a.md (Name)` or `docs/a.md, "Name"`.
	page = regexp.MustCompile(`docs/([a-z-]+\.md)(?:(?:, "|, | \()([A-Z][^)",.;:]*))?`)
	// barePage matches the name of such a page without its folder.
	barePage = regexp.MustCompile(`(?:^|[^/\w-])((?:design|architecture|verity-api|style)\.md)`)
	// wrapped is a line break within a comment.
	wrapped = regexp.MustCompile(`\n[ \t]*(?://|\*|#) ?`)
	link    = regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^)]*))?\)`)
	named   = regexp.MustCompile("`((?:extension|js|load-test|build|examples|docs)/[A-Za-z0-9_./-]*)`")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// textFiles returns the files of the repository that may refer to others, by their path.
func textFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "node_modules", "dist", "reports"}, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		slashed := filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))
		if !textFile.MatchString(slashed) || slashed == "docs/references_test.go" {
			return nil
		}
		text, err := os.ReadFile(name) // #nosec G304 G122 -- of this checkout
		files[slashed] = string(text)
		return err
	}))
	require.Greater(t, len(files), 100, "the files of the repository")
	return files
}

// headings returns the headings of a page.
func headings(text string) []string {
	var all []string
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

func TestReferencesToThePagesResolve(t *testing.T) {
	t.Parallel()
	files := textFiles(t)
	seen := 0
	for name, text := range files {
		text = wrapped.ReplaceAllString(text, " ")
		for _, match := range page.FindAllStringSubmatch(text, -1) {
			seen++
			target, found := files["docs/"+match[1]]
			if !found {
				t.Errorf("%s refers to docs/%s, which is not there", name, match[1])
			} else if section := strings.TrimSpace(match[2]); section != "" && !slices.Contains(headings(target), section) {
				t.Errorf("%s refers to the section %q of docs/%s, which is not there", name, section, match[1])
			}
		}
		if path.Dir(name) == "docs" {
			continue
		}
		for _, match := range barePage.FindAllStringSubmatch(text, -1) {
			t.Errorf("%s refers to %s without its folder; write docs/%s", name, match[1], match[1])
		}
	}
	require.Greater(t, seen, 30, "references found")
}

func TestLinksOfThePagesResolve(t *testing.T) {
	t.Parallel()
	files := textFiles(t)
	seen := 0
	for name, text := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			seen++
			target := name
			if match[1] != "" {
				target = path.Join(path.Dir(name), match[1])
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
			} else if match[2] != "" && !slices.ContainsFunc(headings(files[target]), func(h string) bool { return anchor(h) == match[2] }) {
				t.Errorf("%s links to %s#%s, a heading that is not there", name, target, match[2])
			}
		}
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			seen++
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil && !strings.Contains(match[1], "NAME") {
				t.Errorf("%s names %s, which is not there", name, match[1])
			}
		}
	}
	require.Greater(t, seen, 30, "links found")
}

// anchor returns what a Markdown heading is linked by.
func anchor(text string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r == ' ', r == '-':
			return '-'
		case r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		default:
			return -1
		}
	}, strings.ToLower(text))
	return kept
}

func TestTheArchitectureNamesEveryRoom(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("architecture.md")
	require.NoError(t, err)
	rooms, err := os.ReadDir(filepath.Join(root, "extension"))
	require.NoError(t, err)
	require.NotEmpty(t, rooms)
	for _, room := range rooms {
		require.Contains(t, string(text), "| `"+room.Name()+"` |")
	}
}

// A segment that is refused prints no flags. Within the command of k6 run that would leave one runner with the whole load.
func TestASegmentIsKeptBeforeTheRunThatUsesIt(t *testing.T) {
	t.Parallel()
	unguarded := regexp.MustCompile(`run[^\n;]* "?\$+\(\S+ x verity segment`)
	require.Regexp(t, unguarded, "./k6 run --quiet $(./k6 x verity segment 4) load-test/queue-concurrency.js")
	files := textFiles(t)
	for name, text := range files {
		require.NotRegexp(t, unguarded, text, name)
	}
	require.Contains(t, files["README.md"], "segment=$(./k6 x verity segment 0 2) && ./k6 run $segment ")
	require.Contains(t, files["extension/cli/segment.go"], "segment=$(k6 x verity segment 4) && k6 run $segment ")
}
