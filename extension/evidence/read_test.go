package evidence

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// zipped returns a gzip member.
func zipped(text string) []byte {
	var member bytes.Buffer
	gz := gzip.NewWriter(&member)
	_, _ = io.WriteString(gz, text)
	_ = gz.Close()
	return member.Bytes()
}

// sampleBytes returns the bytes of the sample's file, and its lines.
func sampleBytes(t *testing.T) (file []byte, lines []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	sample(t, path)
	file, err := os.ReadFile(path) //nolint:gosec // the test's own file
	require.NoError(t, err)
	gz, err := gzip.NewReader(bytes.NewReader(file))
	require.NoError(t, err)
	text, err := io.ReadAll(gz)
	require.NoError(t, err)
	return file, strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestACutFileIsUsedUpToItsLastWholeRecord(t *testing.T) {
	t.Parallel()
	file, lines := sampleBytes(t)
	whole := len(file)
	longest := 0
	for size := range whole {
		run, err := read(bytes.NewReader(file[:size]))
		if err != nil {
			require.Contains(t, err.Error(), "no evidence: ", "%d of %d bytes", size, whole)
			require.Zero(t, longest, "what could be read stays readable")
			continue
		}
		require.True(t, run.End == nil || run.Truncated, "of the last member, the checksum alone may be cut")
		require.Equal(t, run.End != nil, run.Runners[0].Ended)
		require.GreaterOrEqual(t, len(run.Seconds), longest)
		longest = len(run.Seconds)
	}
	require.Equal(t, 2, longest)

	run, err := read(bytes.NewReader(zipped(lines[0] + lines[1] + lines[2][:20])))
	require.NoError(t, err)
	require.True(t, run.Truncated)
	require.Len(t, run.Seconds, 1)
	run, err = read(bytes.NewReader(zipped(lines[0] + lines[1])))
	require.NoError(t, err)
	require.False(t, run.Truncated, "a runner that was killed between two batches leaves whole records")
	run, err = read(bytes.NewReader(append(zipped(lines[0]+lines[1]), make([]byte, 512)...)))
	require.NoError(t, err)
	require.True(t, run.Truncated, "zeros, as a machine without power leaves them")
	require.Len(t, run.Seconds, 1)
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	file, lines := sampleBytes(t)
	header := lines[0]
	withoutRunners, _, _ := strings.Cut(header, `"runners"`)
	second := func(rest string) string { return fmt.Sprintf(`{"record":"second","at":%d,%s}`+"\n", at0, rest) }
	cell := func(rest string) string { return second(`"cells":[{"metric":"request",` + rest + `}]`) }
	inSecond := fmt.Sprintf("record 2: second %d: ", at0)
	for _, tc := range []struct{ text, want string }{
		{"", "no evidence: there is no whole record"},
		{`{"record":"hea`, "no evidence: there is no whole record"},
		{"garbage\n", "record 1: no evidence: invalid character 'g' looking for beginning of value"},
		{"[]\n", "record 1: no evidence: json: cannot unmarshal array into Go value of type struct { Record string \"json:\\\"record\\\"\"; " +
			"Version int \"json:\\\"version\\\"\" }"},
		{"{}\n", `record 1: no evidence: the first record is "" and not a header`},
		{lines[1], `record 1: no evidence: the first record is "second" and not a header`},
		{strings.Replace(header, `"version":1`, `"version":2`, 1), "record 1: evidence of version 2; this k6 reads version 1: read it with the k6 that wrote it"},
		{strings.Replace(header, `"plan"`, `"plam"`, 1), `record 1: json: unknown field "plam"`},
		{strings.Replace(header, `"plannedUsers":500`, `"plannedUsers":-1`, 1), "record 1: -1 planned users, 2.5 events a second; neither is less than 0"},
		{strings.Replace(header, `"match":3000000`, `"match":0`, 1), "record 1: the limit of match is 0 µs; it is 1 to 86400000000"},
		{strings.Replace(header, `"index":0`, `"index":2`, 1), "record 1: runner 2 of 2"},
		{strings.Replace(header, `Seconds":0.012`, `Seconds":1e10`, 1), "record 1: clockOffsetSeconds is 1e+10; it is between -1e9 and 1e9"},
		{withoutRunners + `"runners":[]}` + "\n", "record 1: a header without runners"},
		{header + header, "record 2: a second header: the file is several in one; give each of them on its own"},
		{header + "{\"record\":\"third\"}\n", `record 2: record "third" is not known; there are header, second and end`},
		{header + lines[len(lines)-1] + "\n" + lines[1], `record 3: "second" after the end`},
		{header + strings.Replace(lines[len(lines)-1], `"thresholds":17`, `"thresholds":0`, 1) + "\n", "record 2: 1 of 0 thresholds crossed"},
		{header + `{"record":"second","at":1}` + "\n", "record 2: second 1: more than 31 days from when the run began, 2026-11-28T06:00:00Z"},
		{header + second(`"levels":{}} {`), `record 2: "{}" after the record`},
		{header + second(`"levels":{"a":"b"}`), "record 2: json: cannot unmarshal string into Go struct field secondRecord.levels of type float64"},
		{header + second(`"counts":{"events_due":0}`), inSecond + `"events_due" is 0; it is 1 to 10000000000`},
		{header + second(`"counts":{"events_due":10000000001}`), inSecond + `"events_due" is 10000000001; it is 1 to 10000000000`},
		{header + cell(`"over":1`), inSecond + "request: 1 of 0, and 0 of 0 cut, above the limit"},
		{header + cell(`"ok":[[1,1]],"over":-1`), inSecond + "request: -1 of 1, and 0 of 0 cut, above the limit"},
		{header + cell(`"cut":[[1,1]],"cutOver":2`), inSecond + "request: 0 of 0, and 2 of 1 cut, above the limit"},
		{header + cell(`"failed":{"TimeoutError":-1}`), inSecond + `request: "TimeoutError" is -1; it is 1 to 10000000000`},
		{header + cell(`"failed":{"TimeoutError":1},"failedAfter":[[1,2]]`), inSecond + "request: 2 times of 1 failures"},
		{header + second(`"cells":[{}]`), inSecond + "a series without a metric"},
		{header + cell(`"ok":[[1,0]]`), "record 2: 0 times of 1 µs; there are 1 to 10000000000"},
		{header + cell(`"ok":[[1,99999999999]]`), "record 2: 99999999999 times of 1 µs; there are 1 to 10000000000"},
		{header + cell(`"ok":[[99999999999,1]]`), "record 2: a time of 99999999999 µs; a time is at most 24 hours"},
		{header + cell(`"ok":[[300,1],[301,1]]`), "record 2: times out of order: one of 301 µs after one of 301 µs"},
		{header + cell(`"ok":[[1]]`), `record 2: "[[1]]" where times and counts belong, such as [[1203,2],[1211,1]]`},
		{header + cell(`"ok":[[1,2,3]]`), `record 2: "[[1,2,3]]" where times and counts belong, such as [[1203,2],[1211,1]]`},
		{header + cell(`"ok":[[-1,2]]`), `record 2: "[[-1,2]]" where times and counts belong, such as [[1203,2],[1211,1]]`},
		{header + cell(`"ok":[[1,1234567890123456]]`), `record 2: "[[1,1234567890123456]]" where times and counts belong, such as [[1203,2],[1211,1]]`},
		{header + cell(`"ok":[1,2]`), `record 2: "[1,2]" where times and counts belong, such as [[1203,2],[1211,1]]`},
		{header + cell(`"ok":{}`), `record 2: "{}" where times and counts belong, such as [[1203,2],[1211,1]]`},
		{header + strings.Repeat("x", longestLine+1) + "\n", "record 2: longer than 8388608 bytes"},
	} {
		_, err := read(bytes.NewReader(zipped(tc.text)))
		require.EqualError(t, err, tc.want, "%.300s", tc.text)
	}

	for _, tc := range []struct {
		file []byte
		want string
	}{
		{nil, "no evidence: the file is empty; the runner ended before its load began"},
		{file[:5], "no evidence: there is no whole record"},
		{[]byte(`{"record":"header"}` + "\n"), "no evidence: it does not begin as a gzip file does (gzip: invalid header); " +
			"give a file that ends in .evidence.jsonl.gz"},
		{damaged(zipped(header + lines[1])), "damaged after record 2: gzip: invalid checksum"},
	} {
		_, err := read(bytes.NewReader(tc.file))
		require.EqualError(t, err, tc.want)
	}
}

// damaged returns the file with a wrong checksum.
func damaged(member []byte) []byte {
	member[len(member)-8]++
	return member
}

func TestAFileWithTooManyNamesIsRefused(t *testing.T) {
	t.Parallel()
	_, lines := sampleBytes(t)
	var text strings.Builder
	text.WriteString(lines[0])
	for i := range 3*mostNames + 1 {
		fmt.Fprintf(&text, `{"record":"second","at":%d,"levels":{"level %d":1}}`+"\n", at0, i)
	}
	_, err := read(bytes.NewReader(zipped(text.String())))
	require.EqualError(t, err, fmt.Sprintf("record 3002: second %d: more than 3000 names; no run has as many", at0))
}

func TestTheErrorsOfAFileNameIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x")
	_, err := ReadFile(path)
	require.EqualError(t, err, "open "+path+": no such file or directory")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = ReadFile(path)
	require.EqualError(t, err, path+": no evidence: the file is empty; the runner ended before its load began")
}

func TestEveryRecordIsAsTheSchemaSays(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/evidence.schema.json")
	require.NoError(t, err)
	valid := func(line string) error {
		record, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		require.NoError(t, err)
		return schema.Validate(record)
	}
	_, lines := sampleBytes(t)
	require.Greater(t, len(lines), 4)
	seen := map[string]bool{}
	for _, line := range lines {
		require.NoError(t, valid(line), line)
		seen[strings.Split(line, `"`)[3]] = true
	}
	require.Equal(t, map[string]bool{"header": true, "second": true, "end": true}, seen)
	require.Error(t, valid(strings.Replace(lines[0], `"version":1`, `"version":2`, 1)))
	require.Error(t, valid(`{"record":"second","at":1,"cells":[{"metric":"request","ok":[[1]]}]}`))
	require.Error(t, valid(`{"record":"second","at":1,"more":1}`))
	require.Error(t, valid(`{"record":"other"}`))
}

func FuzzReadText(f *testing.F) {
	f.Add("")
	f.Add(`{"record":"header","version":1,"began":"2026-11-28T06:00:00Z","limitsMicros":{"match":1},"runners":[{"id":"x"}]}` + "\n" +
		`{"record":"second","at":1795845600,"cells":[{"metric":"request","label":"a","ok":[[1,2],[300,1]],"over":1,"failed":{"x":1},"failedAfter":[[7,1]],"cut":[[5,1]],"cutOver":1}],"levels":{"a":1.5},"counts":{"b":2}}` + "\n" +
		`{"record":"end","at":"2026-11-28T06:00:00Z","thresholds":1,"crossed":["a"],"waiting":[{"what":"x","users":1,"longestSeconds":1.5}]}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		run, err := readText(strings.NewReader(text))
		if err != nil {
			return
		}
		var rewritten bytes.Buffer
		require.NoError(t, run.writeLines(&rewritten))
		once := rewritten.String()
		again, err := readText(&rewritten)
		if err != nil { // two records within the limits may add up to more
			require.Contains(t, err.Error(), " 1 to 10000000000")
			return
		}
		again.Truncated = run.Truncated
		var twice bytes.Buffer
		require.NoError(t, again.writeLines(&twice))
		require.Equal(t, once, twice.String())
	})
}

func FuzzReadBytes(f *testing.F) {
	f.Add(zipped("{}\n"))
	f.Add([]byte("garbage"))
	f.Fuzz(func(_ *testing.T, file []byte) {
		_, _ = read(bytes.NewReader(file))
	})
}
