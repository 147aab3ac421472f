package campaign

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindowsAreRead(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, zone, want, length string }{
		{"22:00-02:00", "", "22:00-02:00 UTC", "4h"},
		{"9:05-17:30", "Australia/Sydney", "09:05-17:30 Australia/Sydney", "8h25m"},
		{"00:00-24:00", "UTC", "00:00-24:00 UTC", "24h"},
		{"22:00-24:00", "UTC", "22:00-24:00 UTC", "2h"},
	} {
		w, err := ParseWindow(tc.text, tc.zone)
		require.NoError(t, err)
		require.Equal(t, tc.want, w.String())
		require.Equal(t, tc.length, short(w.length()))
	}
}

func TestRefusedWindows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, zone, want string }{
		{"22-02", "", `--window must be two times of day such as 22:00-02:00, got "22-02"`},
		{"22:00", "", `--window must be two times of day such as 22:00-02:00, got "22:00"`},
		{"22:00-02:60", "", `--window must be two times of day such as 22:00-02:00, got "22:00-02:60"`},
		{"25:00-02:00", "", `--window must be two times of day such as 22:00-02:00, got "25:00-02:00"`},
		{"24:00-02:00", "", `--window must be two times of day such as 22:00-02:00, got "24:00-02:00"`},
		{"22:00-24:01", "", `--window must be two times of day such as 22:00-02:00, got "22:00-24:01"`},
		{"22:00-22:00", "", "--window 22:00-22:00 opens and closes at the same time; for any time of day leave it out"},
		{"22:00-02:00", "Sydney", `--tz must be a time zone of the IANA database such as Australia/Sydney or UTC, got "Sydney"`},
	} {
		_, err := ParseWindow(tc.text, tc.zone)
		require.EqualError(t, err, tc.want)
	}
}

// In Sydney the clocks go from 02:00 to 03:00 on 4 October 2026, and from 03:00 back to 02:00 on 4 April 2027.
func TestWindowsOpenAndClose(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ window, zone, now, opens, closes string }{
		"open":                         {"22:00-02:00", "", "2026-11-28 23:00", "2026-11-28 22:00", "2026-11-29 02:00"},
		"open since yesterday":         {"22:00-02:00", "", "2026-11-29 01:59", "2026-11-28 22:00", "2026-11-29 02:00"},
		"closed as it closes":          {"22:00-02:00", "", "2026-11-29 02:00", "2026-11-29 22:00", "2026-11-30 02:00"},
		"open as it opens":             {"22:00-02:00", "", "2026-11-28 22:00", "2026-11-28 22:00", "2026-11-29 02:00"},
		"closed":                       {"09:00-17:00", "", "2026-11-28 08:00", "2026-11-28 09:00", "2026-11-28 17:00"},
		"closed until tomorrow":        {"09:00-17:00", "", "2026-11-28 18:00", "2026-11-29 09:00", "2026-11-29 17:00"},
		"to the end of the day":        {"22:00-24:00", "", "2026-11-28 23:59", "2026-11-28 22:00", "2026-11-29 00:00"},
		"Sydney in summer":             {"22:00-02:00", "Australia/Sydney", "2026-11-28 12:00", "2026-11-28 11:00", "2026-11-28 15:00"},
		"Sydney in winter":             {"22:00-02:00", "Australia/Sydney", "2026-07-01 12:30", "2026-07-01 12:00", "2026-07-01 16:00"},
		"an hour less in spring":       {"22:00-04:00", "Australia/Sydney", "2026-10-03 13:00", "2026-10-03 12:00", "2026-10-03 17:00"},
		"an hour more in autumn":       {"22:00-04:00", "Australia/Sydney", "2027-04-03 13:00", "2027-04-03 11:00", "2027-04-03 18:00"},
		"closes at a time not shown":   {"22:00-02:30", "Australia/Sydney", "2026-10-03 13:00", "2026-10-03 12:00", "2026-10-03 15:30"},
		"opens at a time not shown":    {"02:30-06:00", "Australia/Sydney", "2026-10-03 15:45", "2026-10-03 16:30", "2026-10-03 19:00"},
		"closes when it is shown once": {"22:00-02:30", "Australia/Sydney", "2027-04-03 13:00", "2027-04-03 11:00", "2027-04-03 15:30"},
		"opens when it is shown again": {"02:30-06:00", "Australia/Sydney", "2027-04-03 16:00", "2027-04-03 16:30", "2027-04-03 20:00"},
		"none in the hour left out":    {"02:10-02:50", "Australia/Sydney", "2026-10-03 15:00", "2026-10-04 15:10", "2026-10-04 15:50"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := ParseWindow(tc.window, tc.zone)
			require.NoError(t, err)
			opens, closes, isOpen := w.around(at(t, tc.now))
			require.Equal(t, tc.opens, opens.UTC().Format(time.DateOnly+" 15:04"))
			require.Equal(t, tc.closes, closes.UTC().Format(time.DateOnly+" 15:04"))
			require.Equal(t, !at(t, tc.now).Before(at(t, tc.opens)), isOpen)
		})
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.DateOnly+" 15:04", text)
	require.NoError(t, err)
	return moment
}

func TestAWindowThatAStepDoesNotFit(t *testing.T) {
	t.Parallel()
	steps := []Step{{Name: "a", LengthSeconds: 60}, {Name: "b", LengthSeconds: 1020}, {Name: "c", LengthSeconds: 900}}
	wide, err := ParseWindow("22:00-02:00", "")
	require.NoError(t, err)
	require.NoError(t, wide.check(steps))
	narrow, err := ParseWindow("22:00-22:10", "")
	require.NoError(t, err)
	require.EqualError(t, narrow.check(steps), "the window 22:00-22:10 UTC is 10m long, and these steps do not fit into it: b needs 20m15s, "+
		"c needs 18m15s, setup and end included; widen it, or leave them out with --from, --until or --only")
}

func FuzzParseWindow(f *testing.F) {
	for _, seed := range []string{"22:00-02:00", "00:00-24:00", "2:30-2:31", "22-02", ":-:", ""} {
		f.Add(seed, "Australia/Sydney", int64(1_790_000_000))
	}
	f.Fuzz(func(t *testing.T, text, zone string, second int64) {
		w, err := ParseWindow(text, zone)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "--window ") || strings.HasPrefix(err.Error(), "--tz "), err)
			return
		}
		now := time.Unix(second%(1<<33), 0)
		opens, closes, isOpen := w.around(now)
		require.True(t, opens.Before(closes) && now.Before(closes))
		require.Equal(t, isOpen, !now.Before(opens))
		again, err := ParseWindow(strings.Fields(w.String())[0], zone)
		require.NoError(t, err)
		require.Equal(t, w, again)
	})
}
