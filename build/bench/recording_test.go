package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecordingIsMeasured(t *testing.T) {
	r, err := measureRecording(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, r.MicrosPerRequest)
	require.Positive(t, r.BytesPerSecond)
	var out bytes.Buffer
	writeRecording(&out, r)
	require.Contains(t, out.String(), "evidence at 2500 requests/s: ")
}
