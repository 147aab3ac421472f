package k6

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/lib"
)

func segment(t *testing.T, text string) *lib.ExecutionSegment {
	t.Helper()
	s, err := lib.NewExecutionSegmentFromString(text)
	require.NoError(t, err)
	return s
}

func TestRunnersOf(t *testing.T) {
	t.Parallel()
	sequence, err := lib.NewExecutionSegmentSequenceFromString("0,1/3,2/3,1")
	require.NoError(t, err)
	for _, tc := range []struct {
		segment           string
		users, usersPerVU int
		runner            int
		each              []int
	}{
		{"0:1/3", 3000, 1, 0, []int{1000, 1000, 1000}},
		{"2/3:1", 3000, 1, 2, []int{1000, 1000, 1000}},
		{"1/3:2/3", 3000, 50, 1, []int{1000, 1000, 1000}},
		{"0:1/3", 3001, 50, 0, []int{1001, 1000, 1000}},
		{"0:1/3", 10, 1, 0, []int{4, 3, 3}},
	} {
		runner, each, err := RunnersOf(lib.Options{
			ExecutionSegment: segment(t, tc.segment), ExecutionSegmentSequence: &sequence,
		}, tc.users, tc.usersPerVU)
		require.NoError(t, err)
		require.Equal(t, tc.runner, runner)
		require.Equal(t, tc.each, each)
	}
	_, _, err = RunnersOf(lib.Options{ExecutionSegment: segment(t, "0:1/3")}, 10, 1)
	require.ErrorIs(t, err, errSegmentWithoutSequence)
	_, _, err = RunnersOf(lib.Options{ExecutionSegment: segment(t, "0:1/2"), ExecutionSegmentSequence: &sequence}, 10, 1)
	require.EqualError(t, err, "--execution-segment 0:1/2 is none of --execution-segment-sequence 0,1/3,2/3,1")
	runner, each, err := RunnersOf(lib.Options{}, 10, 1)
	require.NoError(t, err)
	require.Zero(t, runner)
	require.Nil(t, each)
}

func TestTheFirstRunner(t *testing.T) {
	t.Parallel()
	for text, first := range map[string]bool{"0:1/2": true, "0:1": true, "1/2:1": false, "1/4:1/2": false} {
		require.Equal(t, first, IsFirst(lib.Options{ExecutionSegment: segment(t, text)}), text)
	}
	require.True(t, IsFirst(lib.Options{}))
}
