//go:build screenshots

package loadtest_test

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// screenshots is the folder of the pictures in the README.
const screenshots = "../docs/report"

// TestScreenshots makes the pictures of the README again, from three runs against the stand-in:
//
//	make k6 && go test -tags screenshots -count=1 -run '^TestScreenshots$' ./load-test
func TestScreenshots(t *testing.T) {
	require.NoError(t, os.MkdirAll(screenshots, 0o750))
	browser := startBrowser(t)
	sessions := profile{videoSessionSustain, []string{
		"SESSION_VUS=200", "RAMP_UP=12s", "HOLD=50s", "RAMP_DOWN=5s", "QUEUE_MODE=shared", "SESSION_HOLD_SECONDS=5",
		"QUEUE_SHARDS=4", "THINK_TIME_MIN=0.5", "THINK_TIME_MAX=1.5",
	}, []evidence.Claim{
		{Kind: verdict.KindSessions, Least: 60, ForSeconds: 30, Below: 0.01}, {Kind: verdict.KindMatch, WithinMs: 3000},
		{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, WithinMs: 100}, {Kind: verdict.KindErrors, Below: 0.001}, claimTokens,
	}}
	sales := profile{tokenPurchaseSpike, []string{
		"SEED_USER_COUNT=20", "BASE_RATE=10", "SPIKE_RATE=120", "RAMP_UP=10s", "SPIKE_HOLD=30s", "RAMP_DOWN=5s",
	}, []evidence.Claim{
		{Kind: verdict.KindPurchases, WithinMs: 100, SendWithinMs: 1000}, {Kind: verdict.KindLatency, Operations: []string{"stripe_webhook"}, WithinMs: 100},
		{Kind: verdict.KindErrors, Below: 0.001}, claimTokens,
	}}
	healthy := func(t *testing.T) *target { t.Helper(); return startStandin(t, conditions{session: 5 * time.Second}) }
	for _, c := range []struct {
		file   string
		name   string // of the profile
		run    profile
		target func(t *testing.T) *target
		want   verdict.Status
		look   look
		height int
	}{
		{"passed.png", "sessions-60", sessions, healthy, verdict.Pass, look{width: 1280}, 1310},
		{"failed.png", "sessions-60", sessions.with("MATCH_TIMEOUT=5"), func(t *testing.T) *target {
			t.Helper()
			return startStandin(t, conditions{session: 5 * time.Second, defects: standin.Defects{LoseMatch: 0.1}})
		}, verdict.Fail, look{width: 1280, dark: true}, 1310},
		{"not-proven.png", "spike-120", sales, func(t *testing.T) *target {
			t.Helper()
			var webhooks every
			webhooks.of = 50
			return before(t, startStandin(t, conditions{}), func(w http.ResponseWriter, r *http.Request) bool {
				return isWebhook(r) && eventID(r) != "" && webhooks.next() && refuse(w, http.StatusTooManyRequests, "ThrottlerException: Too Many Requests")
			})
		}, verdict.NotProven, look{width: 400, scale: 1.5}, 1000},
	} {
		t.Run(c.file, func(t *testing.T) {
			target := c.target(t)
			dir := t.TempDir()
			command := c.run.command(t, target, dir, "REDIS_URL="+target.redis, "PROFILE="+c.name)
			command.renameProfile(t, c.name)
			command.run(t)
			page := browser.open(t, pageOf(t, filepath.Join(dir, c.name+evidence.Extension)), c.look)
			var seen seenPage
			page.evaluate(t, lookAtPage, &seen)
			require.Contains(t, seen.Verdict, c.want.String())
			picture := fewColours(t, page.shot(t, c.height))
			require.Less(t, len(picture), 150<<10)
			require.NoError(t, os.WriteFile(filepath.Join(screenshots, c.file), picture, 0o600))
		})
	}
}

// renameProfile gives the profile of the command another name.
func (c command) renameProfile(t *testing.T, name string) {
	t.Helper()
	for _, variable := range c.env {
		if path, found := strings.CutPrefix(variable, "PROFILES_FILE="); found {
			text, err := os.ReadFile(path) // #nosec G304 -- the test's own
			require.NoError(t, err)
			renamed := bytes.ReplaceAll(text, []byte(`"small"`), []byte(`"`+name+`"`))
			require.NoError(t, os.WriteFile(path, renamed, 0o600)) // #nosec G703 -- likewise
		}
	}
}

// fewColours returns a picture reduced to its 256 most frequent colours, which takes a fraction of the space.
func fewColours(t *testing.T, picture []byte) []byte {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	counts := map[color.RGBA]int{}
	bounds := whole.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA)]++ //nolint:forcetypeassert // its model says so
		}
	}
	colours := make([]color.RGBA, 0, len(counts))
	for colour := range counts {
		colours = append(colours, colour)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int { return cmp.Compare(counts[b], counts[a]) })
	palette := color.Palette{}
	for _, colour := range colours[:min(len(colours), 256)] {
		palette = append(palette, colour)
	}
	small := image.NewPaletted(bounds, palette)
	draw.Draw(small, bounds, whole, bounds.Min, draw.Src)
	var out bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small))
	return out.Bytes()
}
