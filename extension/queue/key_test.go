package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

type vector struct {
	Note         string
	City         json.RawMessage
	Region       json.RawMessage
	Preferences  json.RawMessage
	QueueKey     string
	HashInputHex string
}

func (v vector) body() []byte {
	var fields []string
	for name, raw := range map[string]json.RawMessage{"city": v.City, "region": v.Region, "preferences": v.Preferences} {
		if raw != nil {
			fields = append(fields, fmt.Sprintf("%q:%s", name, raw))
		}
	}
	return []byte("{" + strings.Join(fields, ",") + "}")
}

func readVectors(tb testing.TB) []vector {
	tb.Helper()
	file, err := os.ReadFile("testdata/queue-keys.json")
	require.NoError(tb, err)
	var vectors []vector
	require.NoError(tb, json.Unmarshal(file, &vectors))
	require.NotEmpty(tb, vectors)
	return vectors
}

func canonicalOf(tb testing.TB, body []byte) []byte {
	tb.Helper()
	s := new(scanner)
	s.reset(body)
	join, err := s.join()
	require.NoError(tb, err)
	return join.canonical(s.out)
}

func TestKeyAgreesWithTheRecordedKeys(t *testing.T) {
	t.Parallel()

	for _, v := range readVectors(t) {
		t.Run(v.Note, func(t *testing.T) {
			t.Parallel()

			if v.HashInputHex != "" {
				want, err := hex.DecodeString(v.HashInputHex)
				require.NoError(t, err)
				require.Equal(t, string(want), string(canonicalOf(t, v.body())))
			}
			key, err := Key(v.body())
			require.NoError(t, err)
			require.Equal(t, v.QueueKey, key)
		})
	}
}

func TestKeyPlace(t *testing.T) {
	t.Parallel()

	for body, want := range map[string]string{
		``:                                   "canberra",
		`{}`:                                 "canberra",
		"\ufeff{}":                           "canberra",
		`{"region":null}`:                    "canberra",
		`{"region":" -- "}`:                  "canberra",
		`{"region":"AU"}`:                    "canberra",
		`{"region":"-au-"}`:                  "canberra",
		`{"region":"a-u"}`:                   "a-u",
		`{"region":"australiaCentral"}`:      "australiacentral",
		`{"city":"AU"}`:                      "au",
		`{"city":"Perth","region":"au"}`:     "perth",
		`{"city":"São Paulo"}`:               "s-o-paulo",
		`{"city":"\u0130stanbul"}`:           "i-stanbul",
		`{"city":"x\u0130"}`:                 "xi",
		`{"city":"\u212Aiev"}`:               "kiev",
		`{"city":"\u212B1\u00c51"}`:          "1-1",
		`{"city":"a\ud800b"}`:                "a-b",
		"{\"city\":\"a\xed\xa0\x80b\"}":      "a-b",
		`{"city":"a\nb\\n\"c"}`:              "a-b-n-c",
		`{"city":"Perth","city":"Hobart"}`:   "hobart",
		`{"city":5,"c\u0069ty":"Hobart"}`:    "hobart",
		`{"preferences":5,"preferences":{}}`: "canberra",
		`{"city":"` + strings.Repeat("Wagga ", 30) + `"}`: strings.Repeat("wagga-", 29) + "wagga",
	} {
		key, err := Key([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want+":44136fa355b3", key, body)
	}
}

func TestEveryCharacterOfACityThatJavaScriptLowersToASCII(t *testing.T) {
	t.Parallel()

	// Unicode's SpecialCasing.txt and UnicodeData.txt have two outside ASCII; toLowerCase does not depend on the locale.
	for r := rune(utf8.RuneSelf); r <= utf8.MaxRune; r++ {
		want := "a-b"
		switch r {
		case '\u0130':
			want = "ai-b"
		case '\u212A':
			want = "akb"
		}
		if got := string(appendCity(nil, []byte("a"+string(r)+"b"))); got != want {
			t.Errorf("U+%04X: got %s, want %s", r, got, want)
		}
	}
}

func TestKeyRefusesWhatTheServiceRefuses(t *testing.T) {
	t.Parallel()

	const emptyCity = "City must be a non-empty string when provided"
	for _, test := range []struct {
		body     string
		messages []string
		list     bool
	}{
		{`{"foo":1}`, []string{"property foo should not exist"}, true},
		{`{"b":1,"a":{},"b":2}`, []string{"property b should not exist", "property a should not exist"}, true},
		{`{"City":"x"}`, []string{"property City should not exist"}, true},
		{`{"a\ud800":1}`, []string{"property a\ufffd should not exist"}, true},
		{`{"city":1}`, []string{"city must be a string"}, true},
		{`{"city":{"a":1}}`, []string{"city must be a string"}, true},
		{`{"region":true}`, []string{"region must be a string"}, true},
		{`{"preferences":[]}`, []string{"preferences must be an object"}, true},
		{`{"preferences":"{}"}`, []string{"preferences must be an object"}, true},
		{
			`{"preferences":1,"region":[],"city":false,"foo":1}`,
			[]string{
				"property foo should not exist", "city must be a string", "region must be a string",
				"preferences must be an object",
			},
			true,
		},
		{`{"city":null}`, []string{emptyCity}, false},
		{`{"city":""}`, []string{emptyCity}, false},
		{`{"city":" \t"}`, []string{emptyCity}, false},
		{`{"city":"-!?","region":"au"}`, []string{emptyCity}, false},
		{`{"city":"日本"}`, []string{emptyCity}, false},
		{`{"city":"Perth","city":null}`, []string{emptyCity}, false},
		{`{"city":null,"preferences":1}`, []string{"preferences must be an object"}, true},
	} {
		_, err := Key([]byte(test.body))
		var refusal *Refusal
		require.ErrorAs(t, err, &refusal, test.body)
		require.Equal(t, &Refusal{Messages: test.messages, List: test.list}, refusal, test.body)
		require.EqualError(t, err, strings.Join(test.messages, ", "))
	}
}

func TestKeyOfABodyThatCannotBeRead(t *testing.T) {
	t.Parallel()

	for body, want := range map[string]string{
		` `:                              "an object must come first at byte 1",
		`null`:                           "an object must come first at byte 0",
		`[]`:                             "an object must come first at byte 0",
		`"{}"`:                           "an object must come first at byte 0",
		`{`:                              "a key is missing at byte 1",
		`{"a"`:                           "a colon is missing at byte 4",
		`{"a":`:                          "a value is missing at byte 5",
		`{"a":1`:                         "a comma or } is missing at byte 6",
		`{"a":1,}`:                       "a key is missing at byte 7",
		`{,}`:                            "a key is missing at byte 1",
		`{a:1}`:                          "a key is missing at byte 1",
		`{} {}`:                          "something follows the object at byte 3",
		"{}\x00":                         "something follows the object at byte 2",
		`{"a":[1,]}`:                     "a value is missing at byte 8",
		`{"a":[1 2]}`:                    "a comma or ] is missing at byte 8",
		`{"a":tru}`:                      "a value is missing at byte 5",
		`{"a":NaN}`:                      "a value is missing at byte 5",
		`{"a":+1}`:                       "a value is missing at byte 5",
		`{"a":01}`:                       "a comma or } is missing at byte 6",
		`{"a":-}`:                        "a digit is missing at byte 6",
		`{"a":1.}`:                       "a digit is missing at byte 7",
		`{"a":.5}`:                       "a value is missing at byte 5",
		`{"a":1e+}`:                      "a digit is missing at byte 8",
		`{"a":0x1}`:                      "a comma or } is missing at byte 6",
		`{"a":"`:                         "a string does not end at byte 6",
		`{"a":"\`:                        "an unknown escape in a string at byte 6",
		`{"a":"\x41"}`:                   "an unknown escape in a string at byte 6",
		`{"a":"\'"}`:                     "an unknown escape in a string at byte 6",
		`{"a":"\u12g4"}`:                 "an escape without four hex digits in a string at byte 6",
		`{"a":"\u12`:                     "an escape without four hex digits in a string at byte 6",
		"{\"a\":\"\n\"}":                 "a control character in a string at byte 6",
		"{\u00a0}":                       "a key is missing at byte 1",
		"\xff{}":                         "an object must come first at byte 0",
		nestedBody(maxDepth + 1):         "nested deeper than 10000 levels at byte 10004",
		`{"__proto__":{"a":}}`:           "a value is missing at byte 18",
		`{"preferences":{"valueOf":01}}`: "a comma or } is missing at byte 27",
	} {
		_, err := Key([]byte(body))
		require.ErrorIs(t, err, ErrBody, body)
		require.EqualError(t, err, "body is not a JSON object: "+want)
	}
}

// nestedBody returns a body with this many nested arrays in a field that the service does not know.
func nestedBody(levels int) string {
	return `{"":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + "}"
}

func TestKeyReadsTenThousandLevels(t *testing.T) {
	t.Parallel()

	_, err := Key([]byte(nestedBody(maxDepth)))
	require.EqualError(t, err, "property  should not exist")
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()

	for preferences, want := range map[string]string{
		`null`:                                              `{}`,
		`{"a":1,"b":2,"a":3}`:                               `{"a":3,"b":2}`,
		`{"b":{"x":1},"a":0,"b":{"y":2,"y":3}}`:             `{"a":0,"b":{"y":3}}`,
		`{"a":-0,"b":0.0,"c":-0e5}`:                         `{"a":0,"b":0,"c":0}`,
		`{"a":1e400,"b":-1e400}`:                            `{"a":null,"b":null}`,
		`{"a":1e21,"b":1e20,"c":999999999999999999999}`:     `{"a":1e+21,"b":100000000000000000000,"c":1e+21}`,
		`{"a":1e-6,"b":1e-7,"c":-1.5e-10,"d":1e100}`:        `{"a":0.000001,"b":1e-7,"c":-1.5e-10,"d":1e+100}`,
		`{"a":999999999999999,"b":-5,"c":1E2,"d":1e+2}`:     `{"a":999999999999999,"b":-5,"c":100,"d":100}`,
		`{"a":"\/</>&\u007f\u2028\u2029"}`:                  "{\"a\":\"/</>&\u007f\u2028\u2029\"}",
		`{"a":"\u0000\u001F\u0022\u005c\u0008"}`:            `{"a":"\u0000\u001f\"\\\b"}`,
		`{"a":"\uD83D\uDE00"}`:                              `{"a":"😀"}`,
		`{"a":"\uD83Dx\uDE00\uD83D"}`:                       `{"a":"\ud83dx\ude00\ud83d"}`,
		`{"a":"\uD83D\uD83D\uDE00"}`:                        `{"a":"\ud83d😀"}`,
		`{"\uD83D":1}`:                                      "{\"\ufffd\":1}",
		`{"\uDC00":1,"\uD83D":2,"\uFFFD":3}`:                "{\"\ufffd\":2,\"\ufffd\":1,\"\ufffd\":3}",
		`{"\uD83D\uDE00":1,"\uD83D":2,"\uD83Dz":3}`:         "{\"\ufffd\":2,\"\ufffdz\":3,\"😀\":1}",
		`{"\uD83E":1,"😀":2,"\uD7FF":3,"\uE000":4}`:          "{\"\uD7FF\":3,\"😀\":2,\"\ufffd\":1,\"\uE000\":4}",
		`{"x\uD83D\uDE01":1,"x\uD83D\uDE00":2,"x":3}`:       `{"x":3,"x😀":2,"x😁":1}`,
		`{"a\"b\\\n":1}`:                                    "{\"a\"b\\\n\":1}",
		`{"\u005f_proto__":1,"toString":{"a":[{}]}}`:        `{}`,
		`{"a":[{"valueOf":1},{"constructor":2,"b":3}]}`:     `{"a":[{},{"b":3}]}`,
		"{\"a\":\"\xff\xe2\x82|\xf0\x9f\x98\xe2\x82\xac\"}": "{\"a\":\"\ufffd\ufffd|\ufffd€\"}",
		"{\"a\":\"\xe0\x80\xaf\xf0\x80\x80\xaf\"}":          "{\"a\":\"" + strings.Repeat("\ufffd", 7) + "\"}",
		"{\"a\":\"\xed\xa0\x80\xc0\xaf\xf4\x90\x80\"}":      "{\"a\":\"" + strings.Repeat("\ufffd", 8) + "\"}",
		"{\"\xff\":1,\"\ufffd\":2}":                         "{\"\ufffd\":2}",
		"{ \"a\" :\t[ ] ,\r\n\"b\" : { } }":                 `{"a":[],"b":{}}`,
	} {
		got := canonicalOf(t, []byte(`{"preferences":`+preferences+`}`))
		require.Equal(t, want, string(got), preferences)
	}
}

func TestThirteenKeysVanish(t *testing.T) {
	t.Parallel()

	names := strings.Fields("__proto__ prototype constructor toString toLocaleString valueOf hasOwnProperty isPrototypeOf " +
		"propertyIsEnumerable __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__")
	require.Len(t, names, 13)
	for _, name := range names {
		body := fmt.Sprintf(`{"preferences":{"a":1,%q:{"b":[1]},"c":[{%q:2}]}}`, name, name)
		require.Equal(t, `{"a":1,"c":[{}]}`, string(canonicalOf(t, []byte(body))), name)
	}
}

func TestTheLastOfManyRepeatedKeysCounts(t *testing.T) {
	t.Parallel()

	var members []string
	for i := range 200 {
		members = append(members, fmt.Sprintf(`"%c":%d`, 'z'-i%10, i))
	}
	want := `{"q":199,"r":198,"s":197,"t":196,"u":195,"v":194,"w":193,"x":192,"y":191,"z":190}`
	require.Equal(t, want, string(canonicalOf(t, []byte(`{"preferences":{`+strings.Join(members, ",")+`}}`))))
}

func TestOnlyNestedLevelsCount(t *testing.T) {
	t.Parallel()

	wide := "[" + strings.Repeat("{},[],", maxDepth) + "0]"
	require.Equal(t, `{"a":`+wide+`}`, string(canonicalOf(t, []byte(`{"preferences":{"a":`+wide+`}}`))))
}

// verdict is the result for a body, by Key or by an oracle.
type verdict struct {
	Key        string
	Messages   []string
	List       bool
	Unreadable bool
}

func verdictOf(body []byte) verdict {
	key, err := Key(body)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return verdict{Messages: refusal.Messages, List: refusal.List}
	}
	return verdict{Key: key, Unreadable: err != nil}
}

// FuzzKey compares Key with encoding/json's decoder and the canonical form of its maps.
func FuzzKey(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.body())
	}
	for _, seed := range []string{
		``, `{"city":"AU","region":null}`, `{"preferences":{"a":-0,"a":1e400,"😀":[1.5e-9],"\uff01":"\u001f"}}`,
		`{"preferences":{"b":{"toString":1},"a":{"b":1,"a":2}}}`, `{"city":1,"x":[]}`, `{"a":1,}`, `{"city":"\u212a"}`,
	} {
		f.Add([]byte(seed))
	}

	unfaithful := regexp.MustCompile(`(?i)\\ud[89a-f]`) // encoding/json loses lone surrogates
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) || unfaithful.Match(body) || bytes.HasPrefix(body, []byte("\ufeff")) {
			Key(body) //nolint:errcheck // it must not panic
			return
		}
		got, want := verdictOf(body), verdictByMaps(body)
		slices.Sort(got.Messages) // maps have no order
		slices.Sort(want.Messages)
		require.Equal(t, want, got)
	})
}

func verdictByMaps(body []byte) verdict {
	var top map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if len(body) == 0 {
		top = map[string]any{}
	} else if decoder.Decode(&top) != nil || top == nil {
		return verdict{Unreadable: true}
	} else if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return verdict{Unreadable: true}
	}

	var wrong []string
	for name, value := range top {
		_, isString := value.(string)
		_, isObject := value.(map[string]any)
		switch {
		case name != "city" && name != "region" && name != "preferences":
			wrong = append(wrong, "property "+name+" should not exist")
		case value == nil:
		case name == "preferences" && !isObject:
			wrong = append(wrong, "preferences must be an object")
		case name != "preferences" && !isString:
			wrong = append(wrong, name+" must be a string")
		}
	}
	if wrong != nil {
		return verdict{Messages: wrong, List: true}
	}

	slug := func(value any) string {
		name, _ := value.(string)
		name = strings.NewReplacer("\u0130", "i\u0307").Replace(name)
		return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
	}
	place := slug(top["region"])
	if place == "" || place == "au" {
		place = "canberra"
	}
	if city, given := top["city"]; given {
		if place = slug(city); place == "" {
			return verdict{Messages: []string{"City must be a non-empty string when provided"}}
		}
	}
	preferences := top["preferences"]
	if preferences == nil {
		preferences = map[string]any{}
	}
	return verdict{Key: fmt.Sprintf("%s:%x", place, sha256.Sum256([]byte(canonicalByMaps(preferences))))[:len(place)+13]}
}

func canonicalByMaps(value any) string {
	switch value := value.(type) {
	case map[string]any:
		var members []string
		for _, name := range slices.SortedFunc(mapKeys(value), func(a, b string) int {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		}) {
			members = append(members, `"`+name+`":`+canonicalByMaps(value[name]))
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		elements := make([]string, len(value))
		for i := range value {
			elements[i] = canonicalByMaps(value[i])
		}
		return "[" + strings.Join(elements, ",") + "]"
	case json.Number:
		f, _ := strconv.ParseFloat(value.String(), 64)
		if math.IsInf(f, 0) {
			return "null"
		}
		number, _ := json.Marshal(f + 0) // -0 + 0 is 0; encoding/json writes floats as ECMAScript does
		return string(number)
	case string:
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(value)
		return strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029", `\\`, `\\`).Replace(strings.TrimSpace(text.String()))
	default:
		literal, _ := json.Marshal(value)
		return string(literal)
	}
}

func mapKeys(object map[string]any) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range object {
			if !vanishes([]byte(name)) && !yield(name) {
				return
			}
		}
	}
}

func TestKeyAgreesWithNode(t *testing.T) {
	t.Parallel()

	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not on PATH: the key is not compared with JavaScript's own JSON")
	}

	const seed1, seed2 = 4, 2026
	gen := &bodyGenerator{rand.New(rand.NewPCG(seed1, seed2))} //nolint:gosec // bodies that a rerun repeats
	var bodies [][]byte
	for _, v := range readVectors(t) {
		bodies = append(bodies, v.body())
	}
	for range 2500 {
		body := gen.body()
		bodies = append(bodies, body, gen.damage(body))
	}

	var input bytes.Buffer
	for _, body := range bodies {
		fmt.Fprintln(&input, hex.EncodeToString(body))
	}
	command := exec.CommandContext(t.Context(), node, "testdata/oracle.mjs") //nolint:gosec // our own script
	command.Stdin = &input
	output, err := command.Output()
	require.NoError(t, err)

	keys := 0
	decoder := json.NewDecoder(bytes.NewReader(output))
	for _, body := range bodies {
		var want verdict
		require.NoError(t, decoder.Decode(&want))
		got := verdictOf(body)
		slices.Sort(got.Messages) // Object.keys puts numbers first
		slices.Sort(want.Messages)
		require.Equal(t, want, got, "%q", body)
		if want.Key != "" {
			keys++
		}
	}
	require.Greater(t, keys, len(bodies)/3, "too few of the bodies are good ones")
}

// bodyGenerator makes bodies that are hard to bring into canonical form.
type bodyGenerator struct{ *rand.Rand }

func (g *bodyGenerator) one(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *bodyGenerator) body() []byte {
	var fields []string
	if g.IntN(2) == 0 {
		fields = append(fields, `"city":`+g.string())
	}
	if g.IntN(2) == 0 {
		fields = append(fields, `"region":`+g.one(`null`, `"au"`, g.string()))
	}
	if g.IntN(20) == 0 {
		fields = append(fields, g.one(`"city"`, `"region"`, `"foo"`, `"preferences"`, `"1"`, `"__proto__"`)+`:`+g.value(2))
	}
	fields = append(fields, `"preferences":`+g.object(4))
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return []byte(`{` + strings.Join(fields, `, `) + `}`)
}

func (g *bodyGenerator) value(depth int) string {
	switch kind := g.IntN(8); {
	case kind == 0 && depth > 0:
		return g.object(depth - 1)
	case kind == 1 && depth > 0:
		elements := make([]string, g.IntN(4))
		for i := range elements {
			elements[i] = g.value(depth - 1)
		}
		return `[` + strings.Join(elements, " ,") + `]`
	case kind < 4:
		return g.string()
	case kind < 5:
		return g.one(`true`, `false`, `null`, `-0`, `1e400`, `-1E+999`, `1e-400`, `5e-324`, `1.7976931348623159e308`)
	}
	return g.number()
}

func (g *bodyGenerator) object(depth int) string {
	members := make([]string, g.IntN(6))
	for i := range members {
		members[i] = g.string() + `:` + g.value(depth)
	}
	return `{` + strings.Join(members, `,`) + `}`
}

func (g *bodyGenerator) number() string {
	switch g.IntN(4) {
	case 0:
		return strconv.Itoa(g.IntN(2000) - 1000)
	case 1:
		return strconv.FormatFloat(math.Float64frombits(g.Uint64()&^(1<<62)), 'e', g.IntN(25), 64)
	case 2:
		return fmt.Sprintf("%d%018d.%de%d", g.IntN(9)+1, g.Int64N(1e18), g.IntN(1000), g.IntN(60)-40)
	}
	return fmt.Sprintf("%d.%0*d", g.IntN(10), g.IntN(20), g.IntN(1e6))
}

func (g *bodyGenerator) string() string {
	var text strings.Builder
	for range g.IntN(4) {
		text.WriteString(g.one(`a`, `B`, `z`, `9`, ` `, `-`, `é`, `😀`, `市`, `！`, "\ue000", "\ud7ff", "\u2028", "\x7f", `\n`,
			`\u0000`, `\u001F`, `\"`, `\\`, `\/`, `\ud83d`, `\uDE00`, `\ud83d\ude00`, `\ufffd`, `\u0130`, `\u212a`, "\u0130",
			"\xff", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\xf4\x90", `toString`, `__proto__`, `constructor`, `10`, `2`))
	}
	return `"` + text.String() + `"`
}

// damage changes one byte.
func (g *bodyGenerator) damage(body []byte) []byte {
	damaged := bytes.Clone(body)
	i := g.IntN(len(damaged))
	damaged[i] = `{}[],:"\0-.eE+ tfn`[g.IntN(18)]
	return damaged
}

func BenchmarkKey(b *testing.B) {
	realistic := `{"city":"Sydney","preferences":{"ageRange":{"min":25,"max":35},"genders":["f","nb"],` +
		`"interests":["hiking","music"],"distanceKm":12.5,"verifiedOnly":true,"note":null}}`
	for _, bench := range []struct{ name, body string }{
		{"isolated", `{"region":"australiaCentral","preferences":{"seed":"1-0-123456789"}}`},
		{"realistic", realistic},
	} {
		b.Run(bench.name, func(b *testing.B) {
			body := []byte(bench.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Key(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
