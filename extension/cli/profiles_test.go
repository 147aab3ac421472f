package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestProfilesAsATable(t *testing.T) {
	t.Parallel()
	profiles, err := readProfiles(os.DirFS("../.."))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, printProfiles(&out, profiles, "./k6", false))
	require.Equal(t, `PROFILE         SCENARIO               USERS  LENGTH  SHOWS THAT
queue-dry       queue-concurrency      1000   3m30s   the queue works with 1,000 users, before 10,000 try
match-dry       queue-concurrency      500    3m30s   users match in time, 500 in 4 keys
sessions-dry    video-session-sustain  500    5m      users match in time and hold about 240 sessions at once
queue-full      queue-concurrency      10000  15m     the queue holds 10,000 users
match-full      queue-concurrency      5000   9m      users match in time with thousands of others in the queue, 5,000 in 40 keys
sessions-full   video-session-sustain  2000   17m     2,000 users hold about 950 sessions at once
sessions-1000   video-session-sustain  2200   17m     2,200 users hold more than 1,000 sessions at once
purchase-spike  token-purchase-spike   100    5m      20 to 400 webhooks a second go through, each credited once

`+"`./k6 x verity campaign`"+` runs them in this order, each when the one before has passed. By hand, with BASE_URL and
STRIPE_WEBHOOK_SECRET set, in the folder of load-test (`+"`./k6 x verity init DIR`"+` unpacks it):

  PROFILE=queue-dry ./k6 run load-test/queue-concurrency.js
  PROFILE=match-dry ./k6 run load-test/queue-concurrency.js
  PROFILE=sessions-dry ./k6 run load-test/video-session-sustain.js
  PROFILE=queue-full ./k6 run load-test/queue-concurrency.js
  PROFILE=match-full ./k6 run load-test/queue-concurrency.js
  PROFILE=sessions-full ./k6 run load-test/video-session-sustain.js
  PROFILE=sessions-1000 ./k6 run load-test/video-session-sustain.js
  PROFILE=purchase-spike ./k6 run load-test/token-purchase-spike.js
`, out.String())
}

func TestProfilesAsJSON(t *testing.T) {
	t.Parallel()
	profiles, err := readProfiles(os.DirFS("../.."))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, printProfiles(&out, profiles, "k6", true))
	var list []map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &list))
	require.Len(t, list, 8)
	require.Equal(t, map[string]any{
		"name": "queue-dry", "scenario": "queue-concurrency", "shows": "the queue works with 1,000 users, before 10,000 try", "dry": true,
		"variables": map[string]any{
			"TARGET_VUS": "1000", "RAMP_UP": "1m", "HOLD": "2m", "RAMP_DOWN": "30s", "QUEUE_MODE": "isolated",
		},
		"claims": []any{
			map[string]any{"claim": "users", "least": 1000.0},
			map[string]any{"claim": "latency", "operations": []any{"queue_join", "queue_leave"}, "quantile": 0.95, "withinMs": 100.0},
			map[string]any{"claim": "errors", "below": 0.001}, map[string]any{"claim": "tokens"},
		},
		"users": 1000.0, "lengthSeconds": 210.0, "command": "PROFILE=queue-dry k6 run load-test/queue-concurrency.js",
	}, list[0])
}

func TestProfilesThatCannotBeListed(t *testing.T) {
	t.Parallel()
	_, err := readProfiles(fstest.MapFS{})
	require.EqualError(t, err, "reading the profiles: open js/profiles.json: file does not exist")
	_, err = readProfiles(fstest.MapFS{profilesFile: &fstest.MapFile{Data: []byte("{")}})
	require.EqualError(t, err, "reading the profiles: js/profiles.json: unexpected end of JSON input")
	for want, variables := range map[string]map[string]string{
		"profile x does not say how many users there are":        {"RAMP_UP": "1m"},
		`RAMP_UP of profile x: time: invalid duration "a while"`: {"TARGET_VUS": "1", "RAMP_UP": "a while"},
	} {
		require.EqualError(t, printProfiles(&bytes.Buffer{}, []profile{{Name: "x", Variables: variables}}, "k6", false), want)
	}
}
