package platform

import (
	"context"
	"net/http"
	"time"
)

const (
	// clockAsks is the most requests of MeasureClock, one each clockEvery: together more than a second, so that a new one begins.
	clockAsks  = 12
	clockEvery = 100 * time.Millisecond
)

// ClockReading is the difference of two clocks.
type ClockReading struct {
	// Offset is this machine's clock minus the service's.
	Offset time.Duration
	// Error is how far Offset may be off, either way; 0: the clocks could not be compared.
	Error time.Duration
}

// MeasureClock compares the service's clock with this machine's more precisely than the whole seconds of a Date: it requests
// /health until answers before and after a change of its second are close together, within 1.2 s. first is an earlier answer, of any
// time before. If a request fails, the result is based on the answers before it.
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
		if err != nil || !bounds.add(health) || bounds.areNarrow() {
			break
		}
	}
	return bounds.reading()
}

// clockBounds are the least and the greatest possible offset. A Date of second D was set between D and D + 1 s of the service's
// clock, and between request and answer by this machine's. So the offset is more than asked − D − 1 s and at most answered − D.
type clockBounds struct {
	least, most time.Duration
	isKnown     bool
}

// add narrows the bounds. It reports whether the answer had a Date.
func (b *clockBounds) add(h Health) bool {
	date, ok := h.clock()
	if !ok {
		return false
	}
	// Round removes the monotonic clock reading, which a Date does not have.
	least, most := h.Asked.Round(0).Sub(date)-time.Second, h.Answered.Round(0).Sub(date)
	if b.isKnown {
		least, most = max(least, b.least), min(most, b.most)
	}
	b.least, b.most, b.isKnown = least, most, true
	return true
}

// areNarrow reports whether the clocks are compared to within clockEvery, or the bounds contradict each other.
func (b *clockBounds) areNarrow() bool { return b.most-b.least <= 2*clockEvery }

// reading returns the middle of the bounds. Bounds that contradict each other come from several machines, whose clocks differ by
// at least as much.
func (b *clockBounds) reading() ClockReading {
	return ClockReading{Offset: b.least + (b.most-b.least)/2, Error: max((b.most-b.least).Abs()/2, time.Millisecond)}
}

// ClockOffset returns this machine's clock minus the service's, from a Date in whole seconds. Less than a second counts as 0.
func (h Health) ClockOffset() time.Duration {
	date, ok := h.clock()
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
