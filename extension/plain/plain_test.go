package plain_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/plain"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, words, want string }{
		{"nothing", "", ""},
		{"ASCII as it is", "City must be a non-empty string when provided", "City must be a non-empty string when provided"},
		{"letters of other scripts as they are", "Größe 北京 é 👍", "Größe 北京 é 👍"},
		{"colours of a terminal", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"the title of a terminal", "\x1b]0;owned\a", `\x1b]0;owned\x07`},
		{"C1 controls", "a\u009b31mb", `a\x9b31mb`},
		{"NUL and DEL", "a\x00b\x7f", `a\x00b\x7f`},
		{"lines", " one\r\ntwo\n\n\tthree\u2028four ", "one two three four"},
		{"right-to-left override", "abc\u202edcba\u202c", `abc\u202edcba\u202c`},
		{"isolates", "\u2066a\u2069", `\u2066a\u2069`},
		{"characters without a width", "a\u200bb\ufeffc\u00add", `a\u200bb\ufeffc\xadd`},
		{"tags outside the basic plane", "a\U000e0041", `a\U000e0041`},
		{"private use", "\ue000", `\ue000`},
		{"bytes that are not UTF-8", "a\xff\xc3", `a\xff\xc3`},
		{"a replacement character of the service", "a\ufffd", "a\ufffd"},
		{"a no-break space", "a\u00a0b", "a b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, plain.Text(tc.words))
		})
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	require.Equal(t, "abc", plain.Short("abc", 3))
	require.Equal(t, "abc…", plain.Short("abcd", 3))
	require.Equal(t, "ab…", plain.Short("abé", 3), "no part of a character")
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	require.NoError(t, plain.Error(nil))
	err := plain.Error(errors.Join(errors.New("\x1b[2J"+strings.Repeat("x", 1000)), io.EOF))
	require.ErrorIs(t, err, io.EOF)
	require.EqualError(t, err, `\x1b[2J`+strings.Repeat("x", plain.Most-4)+"…")
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", " a ", "\x1b[0m", "a\u202eb", "\xff", "a  b", "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, words string) {
		got := plain.Text(words)
		require.True(t, utf8.ValidString(got))
		for _, r := range got {
			require.True(t, r == ' ' || (unicode.IsGraphic(r) && !unicode.IsSpace(r)), "%U in %q", r, got)
		}
		require.Equal(t, got, plain.Text(got))
		require.Equal(t, got, strings.Join(strings.Fields(got), " "))
	})
}
