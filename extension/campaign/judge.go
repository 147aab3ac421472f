package campaign

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// The exit codes of a campaign and of its steps, which are k6's own where it has them.
const (
	ExitPassed      = 0
	ExitFailed      = 99
	ExitInterrupted = 105
	ExitRefused     = 107
	ExitDown        = 108
	ExitNotProven   = 110
)

// judge sets the verdict, the state and the reason of a step that ended by itself, from its exit code and its evidence.
func (s *StepRecord) judge(dir string) {
	run := readEvidence(dir)
	if run != nil {
		judged := verdict.Judge(run, run.Header.Claims)
		s.Verdict = &judged
		if run.End != nil {
			s.Thresholds, s.Crossed, s.Facts = run.End.Thresholds, run.End.Crossed, run.End.Facts
		}
		s.Cut = run.End == nil
	}
	s.State, s.Reason = s.outcome(run, readEnding(dir))
}

// outcome returns the state of the step, and one sentence on why it is not passed. ending is the error in the JUnit report, if any.
func (s *StepRecord) outcome(run *evidence.Run, ending string) (State, string) {
	switch {
	case s.ExitCode == ExitInterrupted:
		return StateInterrupted, "k6 was stopped from outside of the campaign"
	case s.ExitCode == ExitFailed, s.Verdict != nil && s.Verdict.Status == verdict.Fail:
		return StateFailed, s.failure()
	case s.ExitCode != ExitPassed && s.ExitCode != ExitNotProven:
		return StateRefused, firstOf(ending, fmt.Sprintf("k6 ended with exit code %d; its output says why", s.ExitCode))
	case run == nil:
		return StateRefused, firstOf(ending, "the run left no evidence in its folder; its output says why")
	case run.End == nil:
		return StateNotProven, "the evidence ends early, so that nothing is proven"
	case s.Verdict.Status == verdict.NotProven:
		return StateNotProven, s.unproven()
	case s.ExitCode == ExitNotProven:
		return StateRefused, firstOf(ending, run.End.Interrupted, "k6 marked the run as failed; its summary says why")
	case s.Verdict.Status == verdict.NoClaim && len(s.Claims) > 0 && !s.isChanged():
		return StateNotProven, s.Verdict.NoClaims
	case s.Verdict.Status == verdict.NoClaim && s.Thresholds == 0:
		return StateNotProven, "no claim is made and no threshold was judged"
	}
	return StatePassed, ""
}

// isChanged reports whether the plan changes the step's load. Such a step may load the service less than its profile, and make no claim.
func (s Step) isChanged() bool {
	for name := range s.Variables {
		if name != cleanupVariable {
			return true
		}
	}
	return false
}

// failure names the claims that are FAIL and the thresholds that were crossed.
func (s *StepRecord) failure() string {
	var parts []string
	if s.Verdict != nil {
		for _, claim := range s.Verdict.Claims {
			if claim.Status == verdict.Fail {
				parts = append(parts, claim.Text+"; "+claim.Needed)
			}
		}
	}
	if n := len(s.Crossed); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d thresholds crossed (%s)", n, s.Thresholds, firstNames(s.Crossed, 3)))
	}
	return firstOf(strings.Join(parts, "; "), "k6 found a crossed threshold; its summary says which")
}

// unproven returns the reasons of the claims that are NOT PROVEN, each once.
func (s *StepRecord) unproven() string {
	var reasons []string
	for _, claim := range s.Verdict.Claims {
		if claim.Status == verdict.NotProven && !slices.Contains(reasons, claim.Reason) {
			reasons = append(reasons, claim.Reason)
		}
	}
	return strings.Join(reasons, "; ")
}

func firstNames(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// readEvidence returns the evidence in a step's folder, the merged evidence if there is any; nil if there is none that can be read.
func readEvidence(dir string) *evidence.Run {
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+evidence.Extension)) // the pattern is well formed
	if at := slices.IndexFunc(paths, func(path string) bool { return strings.HasSuffix(path, evidence.MergedExtension) }); at >= 0 {
		paths = paths[at : at+1]
	}
	if len(paths) != 1 {
		return nil
	}
	run, err := evidence.ReadFile(paths[0])
	if err != nil {
		return nil
	}
	return run
}

// readEnding returns the error in the JUnit report in a step's folder, which says why a run did not end as planned; "" if there is none.
func readEnding(dir string) string {
	paths, _ := filepath.Glob(filepath.Join(dir, "*.xml")) // the pattern is well formed
	for _, path := range paths {
		text, err := os.ReadFile(path) // #nosec G304 -- a file of this campaign
		if err != nil {
			continue
		}
		var suites struct {
			Errors []struct {
				Message string `xml:"message,attr"`
			} `xml:"testsuite>testcase>error"`
		}
		if xml.Unmarshal(text, &suites) == nil && len(suites.Errors) > 0 {
			return suites.Errors[0].Message
		}
	}
	return ""
}

// lines returns the lines of the log on the result of a step: the verdict, and one line for each claim.
func (s *StepRecord) lines() []string {
	if s.Verdict == nil {
		return nil
	}
	thresholds := fmt.Sprintf("all %d thresholds passed", s.Thresholds)
	switch n := len(s.Crossed); {
	case s.Cut:
		thresholds = "the thresholds were not judged, for the run was cut"
	case s.Thresholds == 0:
		thresholds = "there were no thresholds"
	case n > 0:
		thresholds = fmt.Sprintf("%d of %d thresholds crossed: %s", n, s.Thresholds, strings.Join(s.Crossed, ", "))
	}
	head := fmt.Sprintf("%s, exit code %d, %s", s.Verdict.Status, s.ExitCode, thresholds)
	if s.Verdict.Status == verdict.NoClaim {
		head += "; " + s.Verdict.NoClaims
	}
	lines := []string{head}
	for _, claim := range s.Verdict.Claims {
		line := fmt.Sprintf("%s: %s; %s", claim.Status, claim.Text, claim.Needed)
		if claim.Reason != "" {
			line += ": " + claim.Reason
		}
		lines = append(lines, line)
	}
	return lines
}
