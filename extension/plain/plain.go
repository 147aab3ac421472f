// Package plain makes the words of a service fit for a terminal, a log line and a report: on one line, and without characters
// that a terminal would act on or that would show a text in another order than it has.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Most is how many bytes Error keeps of a text.
const Most = 400

// Text returns the words with each run of white space as one space, and each character that is not seen (controls such as
// ESC and NUL, bidirectional and other format characters, what Unicode does not define, bytes that are not UTF-8) as its
// escape in Go, such as \x1b or \u202e.
func Text(words string) string {
	if isPlain(words) {
		return words
	}
	var b strings.Builder
	b.Grow(len(words))
	pending := false // white space, which counts where something follows and something came before
	for i := 0; i < len(words); {
		r, size := utf8.DecodeRuneInString(words[i:])
		if unicode.IsSpace(r) {
			pending = b.Len() > 0
			i += size
			continue
		}
		if pending {
			b.WriteByte(' ')
			pending = false
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, words[i])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

// isPlain reports whether Text would return the words as they are.
func isPlain(words string) bool {
	for i := range len(words) {
		c := words[i]
		if c < ' ' || c > '~' || (c == ' ' && (i == 0 || i == len(words)-1 || words[i-1] == ' ')) {
			return false
		}
	}
	return true
}

// Short returns Text of the words, cut after so many bytes.
func Short(words string, most int) string {
	cut := len(words) > most
	if cut {
		words = strings.ToValidUTF8(words[:most], "")
	}
	words = Text(words)
	if cut {
		words += "…"
	}
	return words
}

// Error returns an error whose text is plain and at most Most bytes of the original, and which unwraps to err.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return &plainError{err}
}

type plainError struct{ error }

func (e *plainError) Error() string { return Short(e.error.Error(), Most) }

func (e *plainError) Unwrap() error { return e.error }
