// Package queue computes Verity's queue keys, spreads the users of a run over them (shards), plans their number for the
// capacity of the matcher, and reads the depths of the queues from Redis.
//
// Its protocol facts are from docs/verity-api.md, "Queue", as measured on the real service.
package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

const (
	// defaultCity is the city of a join without city, and without region or with region "au".
	defaultCity = "canberra"
	// hashBytes is how many bytes of the SHA-256 a queue key has, as twice as many hex digits.
	hashBytes = 6
	// pooledBytes is the largest buffer that is kept for the next key; the service accepts bodies up to 100 KB.
	pooledBytes = 128 << 10
)

// ErrBody is wrapped by the errors of [Key] for a body that the service cannot read: not JSON, not an object, or nested
// deeper than 10,000 levels.
var ErrBody = errors.New("body is not a JSON object")

// Refusal is the service's 400 answer to a join: the message or messages in its body.
type Refusal struct { //nolint:errname // the service's answer, which the stand-in gives too
	// Messages are the service's messages, in its order; never empty.
	Messages []string
	// List is true if the service sends "message" as an array; otherwise it sends Messages[0].
	List bool
}

// Error returns the service's messages, separated by commas.
func (r *Refusal) Error() string { return strings.Join(r.Messages, ", ") }

// scanners are reused, since a run computes a key for each join.
var scanners = sync.Pool{New: func() any { return new(scanner) }}

// Key returns the queue key, such as "canberra:015abd7f5cc5", under which the service queues a user that posts this body to
// /queue/join. The body is raw JSON, because -0, 1e400, repeated keys and lone surrogates count; an empty body is {}.
//
// The error is a [*Refusal] with the service's messages for a body that the service refuses with 400, and an [ErrBody] for one
// that it cannot read.
func Key(body []byte) (string, error) {
	s := scanners.Get().(*scanner) //nolint:forcetypeassert // the pool holds nothing else
	defer s.release()

	s.reset(body)
	join, err := s.join()
	if err != nil {
		return "", err
	}
	if err := join.refusal(); err != nil {
		return "", err
	}
	s.key, err = join.appendPlace(s.key[:0], s.out)
	if err != nil {
		return "", err
	}
	s.key = appendHash(append(s.key, ':'), join.canonical(s.out))
	return string(s.key), nil
}

// appendHash appends the second half of a queue key: the hash of preferences in canonical form.
func appendHash(dst, canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	return hex.AppendEncode(dst, sum[:hashBytes])
}

// joinBody is the fields of a join's body; the last of a repeated field counts.
type joinBody struct {
	city, region, preferences field
	unknown                   []string
}

// field is a value within the scanner's output: the text of a city or region, the canonical form of anything else.
type field struct {
	kind       byte // the first character of the JSON value, 0 when the field is absent
	start, end int
}

func (f field) isNull() bool       { return f.kind == 'n' }
func (f field) isAbsent() bool     { return f.kind == 0 || f.isNull() }
func (f field) is(kind byte) bool  { return f.isAbsent() || f.kind == kind }
func (f field) in(b []byte) []byte { return b[f.start:f.end] }

// join reads the whole body.
func (s *scanner) join() (joinBody, error) {
	var j joinBody
	if len(s.in) == 0 {
		return j, nil
	}
	if s.peek() != '{' {
		return j, s.fail("an object must come first")
	}
	s.pos++
	for n := 0; ; n++ {
		more, err := s.next(n, '}')
		if err != nil {
			return j, err
		}
		if !more {
			break
		}
		if err := s.joinField(&j); err != nil {
			return j, err
		}
	}
	if s.peek() != 0 || s.pos < len(s.in) {
		return j, s.fail("something follows the object")
	}
	if s.loneInText {
		replaceLone(s.out)
	}
	return j, nil
}

func (s *scanner) joinField(j *joinBody) error {
	start := len(s.out)
	if err := s.name(); err != nil {
		return err
	}
	var dst *field
	switch name := s.out[start:]; string(name) {
	case "city":
		dst = &j.city
	case "region":
		dst = &j.region
	case "preferences":
		dst = &j.preferences
	default:
		replaceLone(name)
		if !slices.Contains(j.unknown, string(name)) {
			j.unknown = append(j.unknown, string(name))
		}
		dst = new(field)
	}

	f := field{kind: s.peek(), start: len(s.out)}
	read := s.value
	if f.kind == '"' && dst != &j.preferences {
		read = s.text
	}
	if err := read(); err != nil {
		return err
	}
	f.end = len(s.out)
	*dst = f
	return nil
}

// refusal returns the service's validation errors for the fields and their types, or nil.
func (j *joinBody) refusal() error {
	var messages []string
	for _, name := range j.unknown {
		messages = append(messages, fmt.Sprintf("property %s should not exist", name))
	}
	if !j.city.is('"') {
		messages = append(messages, "city must be a string")
	}
	if !j.region.is('"') {
		messages = append(messages, "region must be a string")
	}
	if !j.preferences.is('{') {
		messages = append(messages, "preferences must be an object")
	}
	if messages == nil {
		return nil
	}
	return &Refusal{Messages: messages, List: true}
}

// appendPlace appends the first half of the key to the empty dst. A city takes precedence over a region, even if it is null,
// which is refused.
func (j *joinBody) appendPlace(dst, out []byte) ([]byte, error) {
	if j.city.kind != 0 {
		city := appendCity(dst, j.city.in(out))
		if j.city.isNull() || len(city) == 0 {
			return dst, &Refusal{Messages: []string{"City must be a non-empty string when provided"}}
		}
		return city, nil
	}
	if !j.region.isAbsent() {
		region := appendCity(dst, j.region.in(out))
		if len(region) > 0 && string(region) != "au" {
			return region, nil
		}
	}
	return append(dst, defaultCity...), nil
}

func (j *joinBody) canonical(out []byte) []byte {
	if j.preferences.isAbsent() {
		return []byte("{}")
	}
	return j.preferences.in(out)
}

// appendCity appends the name in lower case, with each inner run of characters other than a to z and 0 to 9 replaced by one
// dash. Outside ASCII, JavaScript lowers only two characters to letters a to z: the Kelvin sign, and the dotted capital I,
// which becomes i and a combining dot.
func appendCity(dst, name []byte) []byte {
	start, gap := len(dst), false
	for _, r := range string(name) {
		dotted := false
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r == '\u212A':
			r = 'k'
		case r == '\u0130':
			r, dotted = 'i', true
		default:
			gap = true
			continue
		}
		if gap && len(dst) > start {
			dst = append(dst, '-')
		}
		dst, gap = append(dst, byte(r)), dotted
	}
	return dst
}
