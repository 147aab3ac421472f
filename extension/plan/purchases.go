package plan

import (
	"errors"
	"fmt"
	"math"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/schedule"
)

// Purchases is a run in which events sell tokens to users that were signed up before.
type Purchases struct {
	Users      int     // number of users that every runner signs up
	ReplayRate float64 // share of the events that is sent again
	Think      Range   // after an event
	VUs        int     // at most, of the whole test
	// Spike is the rate of the script's own scenario; nil if Flags replace it. Flags count VUs, and an event as an iteration.
	Spike *Spike
	Flags Flags
}

var _ Run = Purchases{}

// Course implements Run.
func (p Purchases) Course() schedule.Rate {
	if p.Spike == nil {
		return schedule.Rate{}
	}
	return p.Spike.Course()
}

// Seconds implements Run.
func (p Purchases) Seconds() float64 {
	if p.Spike == nil {
		return p.Flags.seconds()
	}
	return p.Course().Length().Seconds()
}

// Events returns the number of events of the script's own scenario, in the whole test.
func (p Purchases) Events() float64 { return sent(linesOf(p.Course()), 0, p.Seconds()) }

// Asks implements Run.
func (p Purchases) Asks(share float64) (preflight.Plan, error) {
	switch {
	case p.Users < 1:
		return preflight.Plan{}, errors.New("users must be 1 or more")
	case p.VUs < 1:
		return preflight.Plan{}, errors.New("vus must be 1 or more")
	case p.Spike == nil && len(p.Flags.Stages) == 0 && p.Flags.Duration == nil && p.Flags.Iterations <= 0:
		return preflight.Plan{}, errors.New("how the events come is not said: give baseRate, spikeRate, rampUp, spikeHold and rampDown, or " +
			"stages, duration or iterations")
	}
	events := p.events(share)
	events.PerMinute *= 1 + p.ReplayRate
	vus := float64(p.VUs) * share
	if p.ReplayRate > 0 {
		events.Arithmetic += fmt.Sprintf(", %s %% sent again", rounded(100*p.ReplayRate))
		vus *= 2 // for two copies in flight at once
	}
	ofEach := func(when string) preflight.Load {
		return preflight.Load{PerMinute: float64(p.Users), Arithmetic: count(float64(p.Users), "users") + when, OfEach: true}
	}
	requests := map[string]preflight.Load{
		platform.OpSignUp: ofEach(" before the events"), platform.OpWebhook: events, platform.OpBalance: ofEach(" at the end"),
	}
	if p.Seconds() > float64(tokenUse) {
		requests[platform.OpRefresh] = ofEach(" at the end")
	}
	return preflight.Plan{
		Requests: requests, Connections: ceil(max(vus, float64(p.Users))), ClosedPerMinute: ceil(events.PerMinute * p.Think.outlasting(0)),
	}, nil
}

// events returns the events of the busiest minute.
func (p Purchases) events(share float64) preflight.Load {
	if p.Spike != nil {
		top := rounded(p.Spike.Top*share) + " a second"
		load := preflight.Load{
			PerMinute: busiestMinute(linesOf(p.Course().Scaled(share)), sent), Arithmetic: "the busiest minute of up to " + top,
		}
		if p.Spike.Hold.Seconds() >= minute {
			load.Arithmetic = top + " × 60 s"
		}
		return load
	}
	vus, span, each := float64(p.VUs)*share, min(minute, p.Seconds()), max(shortest, p.Think.mean())
	most := math.Inf(1)
	if p.Flags.Iterations > 0 {
		most = p.Flags.Iterations * share
	}
	return preflight.Load{
		PerMinute:  min(most, vus*span/each),
		Arithmetic: fmt.Sprintf("%s × %s s / %s s an event", count(vus, "VUs"), rounded(span), rounded(each)),
	}
}
