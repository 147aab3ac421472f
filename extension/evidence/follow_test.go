package evidence

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// summed adds up the runs that a follower returned, to what a reader of the whole file returns.
func summed(t *testing.T, follower *Follower, into *Run) *Run {
	t.Helper()
	next, err := follower.Next()
	require.NoError(t, err)
	if next == nil {
		return into
	}
	if into == nil {
		return next
	}
	for at, second := range next.Seconds {
		all := into.Seconds[at]
		if all == nil {
			all = newSecond()
			into.Seconds[at] = all
		}
		for series, cell := range second.Cells {
			all.cell(series).add(cell)
		}
		for name, n := range second.Counts {
			all.Counts[name] += n
		}
		maps.Copy(all.Levels, second.Levels)
	}
	into.End = next.End
	return into
}

func TestARunIsFollowedByWhatIsNew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	follower := Follow(path)
	next, err := follower.Next()
	require.NoError(t, err)
	require.Nil(t, next, "there is no file yet")

	r := newRecorder()
	require.NoError(t, r.Describe(Header{Scenario: "queue-concurrency"}, Runner{Count: 1}))
	disk, err := os.Create(path) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.NoError(t, r.open(disk, nil, time.Hour))
	next, err = follower.Next()
	require.NoError(t, err)
	require.Equal(t, "queue-concurrency", next.Header.Scenario)
	require.Empty(t, next.Seconds)

	r.Time(join, at(0), 3*time.Millisecond, OK, "")
	r.write()
	next, err = follower.Next()
	require.NoError(t, err)
	require.EqualValues(t, 1, next.Seconds[at0].Cells[join].OK.Count())
	require.Equal(t, "queue-concurrency", next.Header.Scenario)

	r.Time(join, at(0), 3*time.Millisecond, OK, "")
	r.Time(join, at(1), 3*time.Millisecond, OK, "")
	r.write()
	next, err = follower.Next()
	require.NoError(t, err)
	require.EqualValues(t, 1, next.Seconds[at0].Cells[join].OK.Count(), "the first is not told again")
	require.EqualValues(t, 1, next.Seconds[at0+1].Cells[join].OK.Count())
	require.Nil(t, next.End)

	next, err = follower.Next()
	require.NoError(t, err)
	require.Nil(t, next)

	require.NoError(t, r.Close(End{Thresholds: 3}))
	next, err = follower.Next()
	require.NoError(t, err)
	require.Equal(t, 3, next.End.Thresholds)
}

// Wherever the file ends at the moment, no record is lost and none is returned twice.
func TestATornEndIsReadOnceItIsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole"+Extension)
	want := sample(t, whole).Run()
	file, err := os.ReadFile(whole) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.Greater(t, bytes.Count(file, []byte{0x1f, 0x8b, 0x08}), 1, "several members")

	grown := filepath.Join(dir, "grown"+Extension)
	for step := range 40 {
		follower := Follow(grown)
		var got *Run
		require.NoError(t, os.WriteFile(grown, nil, 0o600))
		for end := 1 + step; end < len(file)+40; end += 40 {
			require.NoError(t, os.WriteFile(grown, file[:min(end, len(file))], 0o600)) // #nosec G703 -- the test's own
			got = summed(t, follower, got)
		}
		require.Equal(t, want.Seconds, got.Seconds)
		require.Equal(t, want.Header, got.Header)
		require.Equal(t, want.End, got.End)
	}
}

func TestAFileThatIsReplacedIsFollowedFromItsBeginning(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	sample(t, path)
	follower := Follow(path)
	require.NotNil(t, summed(t, follower, nil).End)

	r := newRecorder()
	require.NoError(t, r.Describe(Header{Scenario: "another"}, Runner{Count: 1}))
	require.NoError(t, r.Open(path, nil))
	next, err := follower.Next()
	require.NoError(t, err)
	require.Equal(t, "another", next.Header.Scenario)
	require.Nil(t, next.End)
	require.NoError(t, r.Close(End{}))
}

func TestFollowRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	good, lines := sampleBytes(t)
	bad := bytes.Clone(good)
	copy(bad[len(bad)/2:], "damaged")
	for _, tc := range []struct {
		name string
		file []byte
		want string
	}{
		{"a second without a header", zipped(lines[1] + "\n"), `: record 1: no evidence: the first record is "second" and not a header`},
		{"another text", zipped("hello\n"), ": record 1: no evidence: invalid character 'h' looking for beginning of value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, tc.file, 0o600))
			_, err := Follow(path).Next()
			require.EqualError(t, err, path+tc.want)
		})
	}
	require.NoError(t, os.WriteFile(path, bad, 0o600))
	_, err := Follow(path).Next()
	require.ErrorContains(t, err, path+": damaged after record ")
	_, err = Follow(filepath.Dir(path)).Next()
	require.ErrorContains(t, err, "is a directory")
}

func TestZerosAfterTheLastBatchAreIgnored(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	sample(t, path)
	file, err := os.ReadFile(path) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(file, make([]byte, 512)...), 0o600)) // #nosec G703 -- the test's own
	require.NotNil(t, summed(t, Follow(path), nil).End)
}
