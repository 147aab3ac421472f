package campaign

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Asked is what a campaign is asked to do.
type Asked struct {
	Tool, K6, Build string
	Target          string
	Plan            Plan
	Window          string
}

// NewRecord returns the record of a campaign that has not begun.
func NewRecord(asked Asked, now time.Time) *Record {
	r := &Record{
		Version: recordVersion, ID: rand.Text()[:10], Tool: asked.Tool, K6: asked.K6, Build: asked.Build,
		Target: asked.Target, Plan: asked.Plan, Window: asked.Window, Began: now.UTC(), Events: []Event{},
	}
	for _, step := range asked.Plan.Steps {
		r.Steps = append(r.Steps, StepRecord{Step: step})
	}
	return r
}

// Resume checks that the campaign can continue with what is asked now, and adopts asked.Window, which may change. asked.Plan is the whole
// plan; it must contain the campaign's steps unchanged.
func (r *Record) Resume(asked Asked) error {
	differs := func(what, was, is string) error {
		return fmt.Errorf("--resume: the campaign began with %s %s, and this is %s; go on with the same, or begin another in a new --report-dir", what, was, is)
	}
	if asked.Target != r.Target {
		return differs("BASE_URL", r.Target, asked.Target)
	}
	if asked.Build != r.Build {
		return differs("the binary", fmt.Sprintf("%s (build %.12s)", r.Tool, r.Build), fmt.Sprintf("%s (build %.12s)", asked.Tool, asked.Build))
	}
	if step, isSame := samePlan(r.Plan, asked.Plan); !isSame {
		return fmt.Errorf("--resume: the plan of the campaign was another one: its step %s is not the same any more; go on with the same plan file and "+
			"profiles, or begin another campaign in a new --report-dir", step)
	}
	r.Window = asked.Window
	return nil
}

// samePlan reports whether each step of was is also in is, and returns the name of the first that differs.
func samePlan(was, is Plan) (differing string, isSame bool) {
	for _, step := range was.Steps {
		at, err := is.index("", step.Name, 0)
		if err != nil || !equal(step, is.Steps[at]) {
			return step.Name, false
		}
	}
	return "", true
}

// equal reports whether two steps have the same form in a record, in which an empty list and no list are the same.
func equal(a, b Step) bool {
	textA, errA := json.Marshal(a)
	textB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(textA, textB)
}

// BuildOf returns the SHA-256 of a binary.
func BuildOf(path string) (string, error) {
	file, err := os.Open(path) // #nosec G304 -- this program's own
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
