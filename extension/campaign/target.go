package campaign

import (
	"slices"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// Target is one of the questions that a campaign answers, with the results of its steps so far.
type Target struct {
	Title string
	// Status is the worst result of a step; NoClaim before there is any.
	Status verdict.Status
	// Of are the judged claims of the steps, in their order.
	Of []TargetClaim
	// Open names the steps that claim the target and have no result yet.
	Open []string
}

// TargetClaim is a judged claim of a step.
type TargetClaim struct {
	Step string
	verdict.Result
}

// passed reports whether every step that claims the target has proven it.
func (t Target) passed() bool { return t.Status == verdict.Pass && len(t.Open) == 0 }

// worst returns the claim that decides the status: among equally bad ones the claim of the last step, which loads the service most. ok is
// false if there is no claim.
func (t Target) worst() (claim TargetClaim, ok bool) {
	for _, c := range t.Of {
		if !ok || c.Status >= claim.Status {
			claim, ok = c, true
		}
	}
	return claim, ok
}

// targets returns the four targets of the safe execution plan, and the purchases, as far as steps of this campaign claim them.
func (r *Record) targets() []Target {
	var targets []Target
	matching := Target{Title: "Match time"}
	if r.claims(verdict.KindWaiting) {
		matching.Title = "Match time with thousands queued"
		r.enter(&matching, func(s *StepRecord, kind string) bool {
			return s.claims(verdict.KindWaiting) && (kind == verdict.KindMatch || kind == verdict.KindWaiting)
		})
	} else {
		r.enter(&matching, func(_ *StepRecord, kind string) bool { return kind == verdict.KindMatch })
	}
	targets = append(targets, matching)
	for _, one := range []struct{ title, kind string }{
		{"API p95", verdict.KindLatency}, {"Error rate", verdict.KindErrors}, {"Sessions at once", verdict.KindSessions},
		{"Purchases", verdict.KindPurchases},
	} {
		target := Target{Title: one.title}
		r.enter(&target, func(_ *StepRecord, kind string) bool { return kind == one.kind })
		targets = append(targets, target)
	}
	return slices.DeleteFunc(targets, func(t Target) bool { return len(t.Of) == 0 && len(t.Open) == 0 })
}

// enter adds to a target the claims of all steps that belong to it.
func (r *Record) enter(t *Target, belongs func(s *StepRecord, kind string) bool) {
	for i := range r.Steps {
		s := &r.Steps[i]
		if !slices.ContainsFunc(s.Claims, func(c evidence.Claim) bool { return belongs(s, c.Kind) }) {
			continue
		}
		found := false
		for _, c := range s.results() {
			if belongs(s, c.Claim.Kind) {
				found = true
				t.Of = append(t.Of, TargetClaim{s.Name, c})
				t.Status = max(t.Status, c.Status)
			}
		}
		if !found {
			t.Open = append(t.Open, s.Name)
		}
	}
}

func (s *StepRecord) results() []verdict.Result {
	if s.Verdict == nil {
		return nil
	}
	return s.Verdict.Claims
}

func (s *StepRecord) claims(kind string) bool {
	return slices.ContainsFunc(s.Claims, func(c evidence.Claim) bool { return c.Kind == kind })
}

func (r *Record) claims(kind string) bool {
	return slices.ContainsFunc(r.Steps, func(s StepRecord) bool { return s.claims(kind) })
}
