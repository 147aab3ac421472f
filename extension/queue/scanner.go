package queue

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deeply arrays and objects may be nested; encoding/json has the same limit.
const maxDepth = 10_000

// scanner reads JSON as JSON.parse does, and writes it in the canonical form that the service hashes. Bytes that are not UTF-8
// are read as U+FFFD, as Node decodes them.
type scanner struct {
	in    []byte
	pos   int
	depth int

	out     []byte
	members []member // of all open objects, the innermost last
	sorted  []byte   // the members of one object while they are sorted
	key     []byte   // the queue key

	// loneInText is true if a text in out has a lone surrogate, in three bytes as in WTF-8. Keys are sorted and compared with
	// it, and the service hashes U+FFFD in its place.
	loneInText bool
}

// member of an object, in the scanner's output: {"key":value or ,"key":value.
type member struct{ start, keyEnd, end int }

func (s *scanner) reset(body []byte) {
	s.in, s.pos, s.depth = bytes.TrimPrefix(body, []byte("\ufeff")), 0, 0
	s.out, s.members, s.loneInText = s.out[:0], s.members[:0], false
}

func (s *scanner) release() {
	s.in = nil
	if cap(s.out) <= pooledBytes {
		scanners.Put(s)
	}
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrBody, what, s.pos)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.in) {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// next reports whether another element follows the n that were read, and consumes the comma or the closing bracket.
func (s *scanner) next(n int, closing byte) (bool, error) {
	switch c := s.peek(); {
	case c == closing:
		s.pos++
		return false, nil
	case n == 0:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	}
	return false, s.fail("a comma or " + string(closing) + " is missing")
}

// value writes the canonical form of the next value.
func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '"':
		return s.quoted()
	case c == '{':
		return s.nested(s.object)
	case c == '[':
		return s.nested(s.array)
	case c == '-', isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.fail("a value is missing")
}

func (s *scanner) nested(read func() error) error {
	if s.depth == maxDepth {
		return s.fail(fmt.Sprintf("nested deeper than %d levels", maxDepth))
	}
	s.depth++
	s.pos++
	err := read()
	s.depth--
	return err
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.in[s.pos:], []byte(word)) {
		return s.fail("a value is missing")
	}
	s.pos += len(word)
	s.out = append(s.out, word...)
	return nil
}

func (s *scanner) array() error {
	s.out = append(s.out, '[')
	for n := 0; ; n++ {
		more, err := s.next(n, ']')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if n > 0 {
			s.out = append(s.out, ',')
		}
		if err := s.value(); err != nil {
			return err
		}
	}
	s.out = append(s.out, ']')
	return nil
}

func (s *scanner) object() error {
	first := len(s.members)
	inOrder := true
	for n := 0; ; n++ {
		more, err := s.next(n, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		m, err := s.member(len(s.members) == first)
		if err != nil {
			return err
		}
		if vanishes(s.keyOf(m)) {
			s.out = s.out[:m.start]
			continue
		}
		if inOrder && len(s.members) > first {
			inOrder = compareUTF16(s.keyOf(s.members[len(s.members)-1]), s.keyOf(m)) < 0
		}
		s.members = append(s.members, m)
	}

	members := s.members[first:]
	if len(members) == 0 {
		s.out = append(s.out, '{')
	}
	if !inOrder {
		s.sort(members)
	}
	s.out = append(s.out, '}')
	s.members = s.members[:first]
	return nil
}

// member writes a member of an object after its brace or comma, in the order of the input. Its key is raw.
func (s *scanner) member(first bool) (member, error) {
	m := member{start: len(s.out)}
	lead := byte(',')
	if first {
		lead = '{'
	}
	s.out = append(s.out, lead, '"')
	if err := s.name(); err != nil {
		return m, err
	}
	m.keyEnd = len(s.out)
	s.out = append(s.out, '"', ':')
	err := s.value()
	m.end = len(s.out)
	return m, err
}

func (s *scanner) keyOf(m member) []byte { return s.out[m.start+2 : m.keyEnd] }

// sort sorts the members at the end of the output. Of members with the same key it keeps the last.
func (s *scanner) sort(members []member) {
	start := members[0].start
	slices.SortStableFunc(members, func(a, b member) int { return compareUTF16(s.keyOf(a), s.keyOf(b)) })

	s.sorted = s.sorted[:0]
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(s.keyOf(m), s.keyOf(members[i+1])) {
			continue
		}
		s.sorted = append(s.sorted, ',')
		s.sorted = append(s.sorted, s.out[m.start+1:m.end]...)
	}
	s.sorted[0] = '{'
	s.out = append(s.out[:start], s.sorted...)
}

// vanishes reports whether the service drops this key, at any depth.
func vanishes(key []byte) bool {
	switch string(key) {
	case "__proto__", "prototype", "constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty",
		"isPrototypeOf", "propertyIsEnumerable", "__defineGetter__", "__defineSetter__", "__lookupGetter__",
		"__lookupSetter__":
		return true
	}
	return false
}

// compareUTF16 compares texts in WTF-8 by UTF-16 code units. That is the order of their bytes, except between a character
// beyond U+FFFF (first byte from F0) and one from U+D800 (first byte from ED).
func compareUTF16(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) || max(a[i], b[i]) < 0xF0 || min(a[i], b[i]) < 0xED {
		return bytes.Compare(a[i:], b[i:])
	}
	return slices.Compare(codeUnits(a[i:]), codeUnits(b[i:]))
}

func codeUnits(text []byte) []uint16 {
	var units []uint16
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if isLone(text) {
			r, n = rune(0xD000)|rune(text[1]&0x3F)<<6|rune(text[2]&0x3F), 3
			units = append(units, uint16(r)) // #nosec G115 -- a surrogate has 16 bits
		} else {
			units = utf16.AppendRune(units, r)
		}
		text = text[n:]
	}
	return units
}

// isLone reports whether a text in WTF-8 starts with a lone surrogate.
func isLone(text []byte) bool { return len(text) >= 3 && text[0] == 0xED && text[1] >= 0xA0 }

// replaceLone replaces each lone surrogate by U+FFFD; both have three bytes.
func replaceLone(text []byte) {
	for i := range text {
		if isLone(text[i:]) {
			copy(text[i:], "\uFFFD")
		}
	}
}

// name writes the raw key of a member, and consumes the colon.
func (s *scanner) name() error {
	if s.peek() != '"' {
		return s.fail("a key is missing")
	}
	if err := s.text(); err != nil {
		return err
	}
	if s.peek() != ':' {
		return s.fail("a colon is missing")
	}
	s.pos++
	return nil
}

// text writes the characters of the string at pos, without quotes and escapes.
func (s *scanner) text() error { return s.characters(s.writeRaw) }

// quoted writes the string at pos as JSON.stringify does.
func (s *scanner) quoted() error {
	s.out = append(s.out, '"')
	if err := s.characters(s.writeEscaped); err != nil {
		return err
	}
	s.out = append(s.out, '"')
	return nil
}

// characters reads the string at pos and copies it, with escaped characters written by write.
func (s *scanner) characters(write func(rune)) error {
	s.pos++
	for {
		start := s.pos
		for s.pos < len(s.in) && isPlain(s.in[s.pos]) {
			s.pos++
		}
		s.out = append(s.out, s.in[start:s.pos]...)
		if s.pos == len(s.in) {
			return s.fail("a string does not end")
		}
		switch c := s.in[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return err
			}
			write(r)
		case c < ' ':
			return s.fail("a control character in a string")
		default:
			s.multibyte()
		}
	}
}

func isPlain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// multibyte copies the character at pos, or writes one U+FFFD for a truncated or invalid one.
func (s *scanner) multibyte() {
	rest := s.in[s.pos:]
	r, n := utf8.DecodeRune(rest)
	if r == utf8.RuneError && n == 1 {
		n = truncated(rest)
	}
	s.pos += n
	s.out = utf8.AppendRune(s.out, r)
}

// truncated returns how many bytes at the start of b, which is not UTF-8, are replaced by one U+FFFD: the "maximal subpart" of
// the Unicode standard, chapter 3.9, as in WHATWG's decoder.
func truncated(b []byte) int {
	low, high, length := byte(0x80), byte(0xBF), 1
	switch c := b[0]; {
	case 0xC2 <= c && c <= 0xDF:
		length = 2
	case 0xE0 <= c && c <= 0xEF:
		length = 3
	case 0xF0 <= c && c <= 0xF4:
		length = 4
	}
	switch b[0] {
	case 0xE0:
		low = 0xA0
	case 0xED:
		high = 0x9F
	case 0xF0:
		low = 0x90
	case 0xF4:
		high = 0x8F
	}
	n := 1
	for n < min(length, len(b)) && low <= b[n] && b[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}

// escape reads the escape sequence at pos, or both of a surrogate pair.
func (s *scanner) escape() (rune, error) {
	c := byte(0)
	if s.pos+1 < len(s.in) {
		c = s.in[s.pos+1]
	}
	if c == 'u' {
		return s.unicodeEscape()
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return 0, s.fail("an unknown escape in a string")
	}
	s.pos += 2
	return rune("\"\\/\b\f\n\r\t"[i]), nil
}

func (s *scanner) unicodeEscape() (rune, error) {
	r, ok := codeUnit(s.in[s.pos:])
	if !ok {
		return 0, s.fail("an escape without four hex digits in a string")
	}
	s.pos += 6
	if low, ok := codeUnit(s.in[s.pos:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			s.pos += 6
			return pair, nil
		}
	}
	return r, nil
}

// codeUnit parses the \uXXXX at the start of b.
func codeUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var unit rune
	for _, c := range b[2:6] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

func (s *scanner) writeRaw(r rune) {
	if utf16.IsSurrogate(r) {
		s.loneInText = true
		s.out = append(s.out, 0xED, 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
		return
	}
	s.out = utf8.AppendRune(s.out, r)
}

func (s *scanner) writeEscaped(r rune) {
	switch {
	case r == '"' || r == '\\':
		s.out = append(s.out, '\\', byte(r))
	case r == '\b':
		s.out = append(s.out, `\b`...)
	case r == '\f':
		s.out = append(s.out, `\f`...)
	case r == '\n':
		s.out = append(s.out, `\n`...)
	case r == '\r':
		s.out = append(s.out, `\r`...)
	case r == '\t':
		s.out = append(s.out, `\t`...)
	case r < ' ', utf16.IsSurrogate(r):
		s.out = append(s.out, '\\', 'u')
		for shift := 12; shift >= 0; shift -= 4 {
			s.out = append(s.out, "0123456789abcdef"[r>>shift&0xF])
		}
	default:
		s.out = utf8.AppendRune(s.out, r)
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// number reads a JSON number and writes it as JavaScript's Number::toString does.
func (s *scanner) number() error {
	start := s.pos
	s.accept("-")
	if !s.accept("0") && s.digits() == 0 {
		return s.fail("a digit is missing")
	}
	whole := s.pos
	if s.accept(".") && s.digits() == 0 {
		return s.fail("a digit is missing")
	}
	if s.accept("eE") {
		s.accept("+-")
		if s.digits() == 0 {
			return s.fail("a digit is missing")
		}
	}

	text := s.in[start:s.pos]
	if s.pos == whole && len(text) <= 15 && text[0] != '-' { // an integer that a double holds exactly
		s.out = append(s.out, text...)
		return nil
	}
	f, _ := strconv.ParseFloat(string(text), 64) // fails only on overflow, and then returns infinity
	s.out = appendNumber(s.out, f)
	return nil
}

func (s *scanner) accept(set string) bool {
	if s.pos < len(s.in) && strings.IndexByte(set, s.in[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.in) && isDigit(s.in[s.pos]) {
		s.pos++
	}
	return s.pos - start
}

func appendNumber(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case f == 0: // also -0
		return append(dst, '0')
	case math.IsInf(f, 0):
		return append(dst, "null"...)
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-2] == '0' && dst[n-3] == '-' { // e-07 is e-7 in JavaScript
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
