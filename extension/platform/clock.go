package platform

import (
	"context"
	"net/http"
	"time"
)

const (
	// clockAsks is how often MeasureClock asks at most, every clockEvery: more than a second, so that one turn of it is among them.
	clockAsks  = 12
	clockEvery = 100 * time.Millisecond
)

// ClockReading is how two clocks differ.
type ClockReading struct {
	// Offset is what this machine's clock shows less what the service's shows.
	Offset time.Duration
	// Error is how far Offset may be off, either way; 0: the clocks could not be compared.
	Error time.Duration
}

// MeasureClock compares the service's clock with this machine's more closely than the whole seconds of a Date: it asks /health a few
// times until a second turns, within 1.2 s. It begins with an answer that is there already. Where an answer fails, it goes by those before.
func MeasureClock(ctx context.Context, client *http.Client, baseURL string, first Health) ClockReading {
	var bounds clockBounds
	if !bounds.add(first) {
		return ClockReading{}
	}
	ctx, cancel := context.WithTimeout(ctx, clockAsks*clockEvery)
	defer cancel()
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for range clockAsks {
		select {
		case <-ctx.Done():
			return bounds.reading()
		case <-ticker.C:
		}
		health, err := CheckHealth(ctx, client, baseURL)
		if err != nil || !bounds.add(health) || health.Date != first.Date {
			break
		}
	}
	return bounds.reading()
}

// clockBounds are the least and the most that the offset can be. A Date of second D was written between D and D + 1 s of the service's
// clock, and between the request and the answer of this machine's, so that the offset is more than asked − D − 1 s and at most
// answered − D.
type clockBounds struct {
	least, most time.Duration
	isKnown     bool
}

// add narrows the bounds. It reports whether the answer had a Date.
func (b *clockBounds) add(h Health) bool {
	date, ok := h.Clock()
	if !ok {
		return false
	}
	// Round drops the monotonic clock, which a Date has not.
	least, most := h.Asked.Round(0).Sub(date)-time.Second, h.Answered.Round(0).Sub(date)
	if b.isKnown {
		least, most = max(least, b.least), min(most, b.most)
	}
	b.least, b.most, b.isKnown = least, most, true
	return true
}

// reading is the middle. Bounds that contradict each other come from several machines, whose clocks differ by as much at least.
func (b *clockBounds) reading() ClockReading {
	return ClockReading{Offset: b.least + (b.most-b.least)/2, Error: max((b.most-b.least).Abs()/2, time.Millisecond)}
}

// ClockOffset is what this machine's clock shows less what the service's shows, from a Date in whole seconds. Less than a second is
// not told apart from none.
func (h Health) ClockOffset() time.Duration {
	date, ok := h.Clock()
	if !ok {
		return 0
	}
	middle := h.Asked.Add(h.Answered.Sub(h.Asked) / 2)
	offset := middle.Sub(date.Add(time.Second / 2))
	if offset.Abs() < time.Second {
		return 0
	}
	return offset
}
