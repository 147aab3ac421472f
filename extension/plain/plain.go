// Package plain makes texts from a service safe to show in a terminal, a log line or a report: on one line, and without
// characters that control a terminal or change the direction of a text.
package plain

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Most is how many bytes of a message Error keeps.
const Most = 400

// Text trims words, replaces each run of white space by one space, and escapes each invisible character as in Go, such as \x1b
// or \u202e: controls such as ESC and NUL, bidirectional and other format characters, undefined code points, and bytes that are
// not UTF-8.
func Text(words string) string {
	if isPlain(words) {
		return words
	}
	var b strings.Builder
	b.Grow(len(words))
	pending := false // white space, written as a space once a character follows
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

// isPlain reports whether Text would return words unchanged. It may return false for such words.
func isPlain(words string) bool {
	for i := range len(words) {
		c := words[i]
		if c < ' ' || c > '~' || (c == ' ' && (i == 0 || i == len(words)-1 || words[i-1] == ' ')) {
			return false
		}
	}
	return true
}

// Short returns Text of the first most bytes of words, with an ellipsis if it cut them.
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

// Error returns an error whose message is Short of err's, and which unwraps to err.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return &plainError{err}
}

type plainError struct{ error }

func (e *plainError) Error() string { return Short(e.error.Error(), Most) }

func (e *plainError) Unwrap() error { return e.error }

// WithoutURL returns the cause of an error of net/http, whose message begins with the URL.
func WithoutURL(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	return err
}
